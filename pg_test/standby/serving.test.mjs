// Live queries served by a standby: right, whole and never older than before, whatever happens to the standby.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { LiveClient } from "../lib/clients.mjs";
import { random, SEED } from "../lib/random.mjs";
import { sleep, until } from "../lib/wait.mjs";
import { Pair } from "./pair.mjs";
import { Accounts, openAccounts, transfer } from "./watch.mjs";

/** @type {Pair} */ let pair;
/** @type {LiveClient} */ let client;
let db;

before(async () => {
  pair = await Pair.start();
  db = pair.primary.sql("owner");
  await openAccounts(db);
});

after(() => pair?.stop());

beforeEach(() => {
  client = new LiveClient(pair.url);
});

afterEach(() => client.close());

const balanceOf = (name) => client.subscribe("accounts:balance", { name });

/** The present value of a query, over HTTP. */
async function queryOnce(path, args) {
  const body = JSON.stringify({ path, args });
  const response = await fetch(`${pair.url}/api/query`, { method: "POST", body, headers: { "content-type": "application/json" } });
  return (await response.json()).value;
}

/** The number of runs so far, on the standby and in all. */
async function runs() {
  const { pg_live_replica_runs_total: replica, pg_live_runs_total: all } = await pair.metrics();
  return { replica, all };
}

/** Transfers by two writers until `stop.now`; how many there were. */
async function writeUntil(stop) {
  const writers = [0, 1].map(async (n) => {
    const next = random(SEED + n);
    const connection = await db.connect();
    let made = 0;
    while (!stop.now) {
      await transfer(connection, next);
      made += 1;
    }
    connection.release();
    return made;
  });
  return (await Promise.all(writers)).reduce((a, b) => a + b);
}

/** Three clients that watch the accounts while `body` runs under load; they must end with the present. */
async function underLoad(t, body) {
  t.diagnostic(`PG_LIVE_SEED=${SEED}`);
  const clients = Array.from({ length: 3 }, () => new Accounts(pair.url));
  const stop = { now: false };
  try {
    await Promise.all(clients.map((one) => one.ready()));
    const writing = writeUntil(stop);
    try {
      await body(clients);
    } finally {
      stop.now = true;
    }
    t.diagnostic(`${await writing} transfers`);
    const { rows } = await db.query("SELECT balance FROM accounts WHERE name = 'clock'");
    for (const one of clients) {
      await one.reaches(rows[0].balance, { timeout: 30_000 });
      t.diagnostic(`${one.check()} transitions`);
    }
  } finally {
    stop.now = true;
    await Promise.all(clients.map((one) => one.close()));
  }
}

test("all queries run on the standby, live ones and others, and see what was written before", async () => {
  const first = await runs();
  const clock = balanceOf("clock");
  await clock.ready();
  for (let n = 1; n <= 5; n += 1) {
    await db.query("UPDATE accounts SET balance = balance + 1 WHERE name = 'clock'");
    const { rows } = await db.query("SELECT balance FROM accounts WHERE name = 'clock'");
    assert.equal(await queryOnce("accounts:balance", { name: "clock" }), rows[0].balance);
    await clock.becomes("shows the update", (value) => value === rows[0].balance);
  }
  const last = await runs();
  assert.ok(last.replica - first.replica >= 10, JSON.stringify([first, last]));
  assert.ok(last.replica - first.replica >= last.all - first.all);
  const { rows } = await pair.standby.ask("SELECT pg_is_in_recovery() AS standby");
  assert.ok(rows[0].standby);
});

test("a client sees its own mutation in its next value", async () => {
  const [from, to] = [balanceOf("a"), balanceOf("b")];
  await Promise.all([from.ready(), to.ready()]);
  const before = from.value;
  await client.mutation("accounts:transfer", { from: "a", to: "b", amount: 7 });
  assert.equal(from.value, before - 7);
  await client.mutation("accounts:transfer", { from: "b", to: "a", amount: 7 });
  assert.equal(from.value, before);
});

test("a writer that was running at the standby's snapshot is not missed", async () => {
  const clock = balanceOf("clock");
  await clock.ready();
  const writer = await db.connect();
  try {
    await writer.query("BEGIN");
    await writer.query("UPDATE accounts SET balance = balance + 1000 WHERE name = 'clock'");
    // A later transaction completes, so that the running one lies within the bounds of new snapshots.
    await db.query("INSERT INTO messages(author, body) VALUES ('x', 'y')");
    await pair.settled();
    const second = client.subscribe("messages:count", { channel: "none" });
    await second.ready();
    const { value } = clock;
    await writer.query("COMMIT");
    await clock.becomes("shows what the long writer wrote", (now) => now === value + 1000);
    second.stop();
  } finally {
    writer.release();
  }
});

test("two-phase commits show when they are committed", async () => {
  const clock = balanceOf("clock");
  const before = await clock.ready();
  const writer = await db.connect();
  await writer.query("BEGIN");
  await writer.query("UPDATE accounts SET balance = balance + 1 WHERE name = 'clock'");
  await writer.query("PREPARE TRANSACTION 'two'");
  writer.release();
  await db.query("INSERT INTO messages(author, body) VALUES ('x', 'y')");
  assert.equal(await queryOnce("accounts:balance", { name: "clock" }), before);
  await db.query("COMMIT PREPARED 'two'");
  await clock.becomes("shows the prepared update", (value) => value === before + 1);
});

test("a standby that lags shows nothing torn and nothing older", async (t) => {
  await pair.standby.set({ recovery_min_apply_delay: "60ms" });
  try {
    await underLoad(t, () => sleep(3_000));
  } finally {
    await pair.standby.set({ recovery_min_apply_delay: null });
  }
});

test("TRUNCATE and tables that are written anew are never seen half done", async (t) => {
  await underLoad(t, async () => {
    for (let n = 0; n < 8; n += 1) {
      const connection = await db.connect();
      await connection.query("BEGIN");
      await connection.query("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT name, balance FROM accounts WHERE false");
      await connection.query("LOCK accounts");
      await connection.query("INSERT INTO kept SELECT name, balance FROM accounts");
      await connection.query("TRUNCATE accounts");
      await connection.query("INSERT INTO accounts(name, balance) SELECT name, balance FROM kept");
      await connection.query("COMMIT");
      connection.release();
      await db.query(`ALTER TABLE accounts ADD COLUMN extra_${n} text DEFAULT random()::text`);
      await db.query(`ALTER TABLE accounts DROP COLUMN extra_${n}`);
      await sleep(100);
    }
  });
});

test("a query in the way of replay is broken off and repeated", async (t) => {
  await pair.standby.set({ max_standby_streaming_delay: "20ms" });
  const slow = client.subscribe("slow:total");
  const before = await slow.ready();
  const conflicts = async () =>
    Number((await pair.standby.ask("SELECT confl_snapshot + confl_lock AS n FROM pg_stat_database_conflicts WHERE datname = 'app'")).rows[0].n);
  const first = await conflicts();
  for (let n = 0; n < 6; n += 1) {
    await db.query("UPDATE accounts SET balance = balance WHERE name = 'a'");
    await db.query("INSERT INTO accounts(name, balance) VALUES ('e', 1)");
    await sleep(60);
    await db.query("DELETE FROM accounts WHERE name = 'e'");
    await db.query("VACUUM accounts");
  }
  await db.query("UPDATE accounts SET balance = balance + 5 WHERE name = 'clock'");
  await slow.becomes("is right in the end", (value) => value === before + 5, { timeout: 30_000 });
  assert.deepEqual(slow.errors, []);
  t.diagnostic(`${(await conflicts()) - first} conflicts`);
  slow.stop();
  await pair.standby.set({ max_standby_streaming_delay: "300ms" });
});

test("a deploy reaches clients of the standby", async () => {
  const version = client.subscribe("slow:version");
  assert.equal(await version.ready(), 1);
  await pair.edit("slow.ts", "const VERSION = 1", "const VERSION = 2");
  await pair.deploy();
  await version.becomes("is the new one", (value) => value === 2);
});

test("an unlogged table, which a standby cannot read, is read on the primary", async () => {
  await db.query("ALTER TABLE messages SET UNLOGGED");
  try {
    const list = client.subscribe("messages:list", { channel: "unlogged" });
    assert.deepEqual(await list.ready(), []);
    await db.query("INSERT INTO messages(author, body, channel) VALUES ('x', 'y', 'unlogged')");
    await list.becomes("has the message", (messages) => messages.length === 1);
    assert.deepEqual(list.errors, []);
  } finally {
    await db.query("ALTER TABLE messages SET LOGGED");
  }
});

test("clients of a standby that stops replaying move to the primary and back", async (t) => {
  await underLoad(t, async (clients) => {
    await pair.standby.ask("SELECT pg_wal_replay_pause()");
    await pair.usesStandby(false);
    const clock = clients[0].clock;
    await Promise.all(clients.map((one) => one.reaches(clock + 20)));
    await pair.standby.ask("SELECT pg_wal_replay_resume()");
    await pair.usesStandby(true);
    const { replica } = await runs();
    await until("runs are on the standby again", async () => (await runs()).replica > replica + 5);
  });
});

test("clients of a standby that dies go on with the primary, and back when it is there again", async (t) => {
  await underLoad(t, async (clients) => {
    await pair.standby.kill();
    await pair.usesStandby(false);
    const clock = clients[0].clock;
    await Promise.all(clients.map((one) => one.reaches(clock + 20)));
    await pair.standby.start();
    await pair.usesStandby(true);
    const { replica } = await runs();
    await until("runs are on the standby again", async () => (await runs()).replica > replica + 5);
  });
});

test("what the standby showed before the primary is not taken back", async () => {
  const clock = balanceOf("clock");
  await clock.ready();
  // Nobody confirms: a commit is in the log, and replayed, but its transaction goes on running on the primary.
  await pair.primary.set({ synchronous_standby_names: "nobody" });
  const writer = await db.connect();
  let before;
  let committed;
  do {
    // The setting is in force some time after it was made.
    before = (await db.query("SELECT balance FROM accounts WHERE name = 'clock'")).rows[0].balance;
    committed = writer.query("UPDATE accounts SET balance = balance + 1 WHERE name = 'clock'");
  } while (await Promise.race([committed.then(() => true), sleep(300).then(() => false)]));
  let stopped = false;
  try {
    await until("the standby has replayed it", async () =>
      (await pair.standby.ask("SELECT balance FROM accounts WHERE name = 'clock'")).rows[0].balance === before + 1);
    const { rows } = await db.query("SELECT balance FROM accounts WHERE name = 'clock'");
    assert.equal(rows[0].balance, before, "the primary does not show it yet");
    const other = balanceOf("b");
    await other.ready();
    assert.equal(clock.value, before + 1, "the standby does");
    await pair.standby.stop("immediate");
    stopped = true;
    await pair.usesStandby(false);
    const third = balanceOf("c");
    await sleep(1_500);
    assert.equal(third.value, undefined, "the client waits for the primary");
    await pair.primary.set({ synchronous_standby_names: null });
    await third.ready();
    assert.deepEqual(clock.values, clock.values.toSorted((one, other) => one - other), "never back");
    assert.equal(clock.value, before + 1);
  } finally {
    await pair.primary.set({ synchronous_standby_names: null });
    await committed;
    writer.release();
    await (stopped && pair.standby.start());
  }
  await pair.usesStandby(true);
});

test("live.wait: until the live queries are told, and until the standby shows a commit", async () => {
  const { rows } = await db.query("UPDATE accounts SET balance = balance + 1 WHERE name = 'clock' RETURNING balance");
  assert.equal((await pair.primary.sql().query("SELECT live.wait() AS told")).rows[0].told, true);
  await pair.settled();
  const seen = await pair.standby.ask("SELECT balance FROM accounts WHERE name = 'clock'", [], "owner");
  assert.equal(seen.rows[0].balance, rows[0].balance);
  const late = await pair.standby.ask("SELECT live.wait('FF/0', '20 ms') AS done", [], "owner");
  assert.equal(late.rows[0].done, false);
  await assert.rejects(pair.standby.ask("SELECT live.wait()", [], "owner"), { code: "22023" });
  await assert.rejects(pair.primary.sql("owner").query("SELECT live.wait('FF/0')"), { code: "22023" });
});

test("the functions of the relay refuse what does not belong there", async () => {
  const { primary, standby } = pair;
  const register = "SELECT live.register(1, 1, 1, 1, 1, $1, $2)";
  await assert.rejects(primary.sql("relay").query(register, ["\\x00", "\\x00"]), { code: "22023" });
  await assert.rejects(primary.sql("relay").query("SELECT live.catch_up('\\x5100', 1, 1)"), { code: "22023" });
  await assert.rejects(primary.sql("owner").query(register, ["\\x00", "\\x00"]), { code: "42501" });
  await assert.rejects(primary.sql("relay").query("SELECT live.wait_for_replay('0/0', 1)"), { code: "25001" });
  for (const call of ["live.replica_ticket()", "live.attach(1)", "live.catch_up('\\x5100', 1, 1)"]) {
    await assert.rejects(standby.ask(`SELECT ${call}`, [], "relay"), { code: "25001" }, call);
  }
});

test("functions in LANGUAGE js run on a standby, read-only", async () => {
  await pair.primary.sql().query(`CREATE FUNCTION twice(n int) RETURNS int LANGUAGE js AS 'return n * 2'`);
  await pair.primary.sql().query(`CREATE FUNCTION write() RETURNS void LANGUAGE js AS $$ sql.execute("INSERT INTO accounts(name, balance) VALUES ('js', 1)") $$`);
  await pair.settled();
  const { standby } = pair;
  assert.equal((await standby.ask("SELECT twice(21) AS n")).rows[0].n, 42);
  await assert.rejects(standby.ask("SELECT write()"), { code: "25006" });
  const workers = await standby.ask("SELECT 1 FROM pg_stat_activity WHERE backend_type LIKE 'pg_live%'");
  assert.equal(workers.rows.length, 0, "no worker runs on a standby");
});
