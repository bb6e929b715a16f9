// All queries of one client move together: a transfer between two accounts, each its own subscription, never
// shows in one without the other. Also under many writers at once, and the end state is the database's.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TransitionWatcher } from "../lib/clients.mjs";
import { random, SEED } from "../lib/random.mjs";
import { Server } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

const ACCOUNTS = ["a", "b", "c", "d"];
const START = 1000;
const TOTAL = ACCOUNTS.length * START;
const WRITERS = 4;
const TRANSFERS = 2000;

/** @type {Server} */ let server;
let db;

before(async () => {
  server = await Server.start({ ownRelay: true });
  db = server.sql();
  await db.query("INSERT INTO accounts(name, balance) SELECT name, $2 FROM unnest($1::text[]) AS name", [ACCOUNTS, START]);
});

after(async () => {
  await server?.stop();
});

/** One transfer between two accounts by plain SQL, the rows locked in a fixed order. */
async function transferBySql(connection, next) {
  const [from, to] = ACCOUNTS.toSorted(() => next() - 0.5).slice(0, 2);
  const amount = Math.floor(next() * 50) + 1;
  await connection.query("BEGIN");
  for (const [name, change] of [[from, -amount], [to, amount]].toSorted()) {
    await connection.query("UPDATE accounts SET balance = balance + $2 WHERE name = $1", [name, change]);
  }
  await connection.query(next() < 0.05 ? "ROLLBACK" : "COMMIT");
}

async function writeTransfers(count, seed) {
  const connection = await db.connect();
  try {
    const next = random(seed);
    for (let n = 0; n < count; n += 1) {
      await transferBySql(connection, next);
    }
  } finally {
    connection.release();
  }
}

function assertNeverTorn(watcher) {
  const complete = watcher.seen.filter((balances) => balances.every((balance) => balance !== undefined));
  for (const [index, balances] of complete.entries()) {
    const [sum, total] = [balances.slice(0, -1).reduce((a, b) => a + b), balances.at(-1)];
    assert.equal(sum, TOTAL, `transition ${index} of ${complete.length}: ${JSON.stringify(balances)}`);
    assert.equal(total, TOTAL, `transition ${index}: the total`);
  }
  return complete.length;
}

test(`${TRANSFERS} transfers by ${WRITERS} SQL writers are never seen half done`, { timeout: 240_000 }, async (t) => {
  const queries = [...ACCOUNTS.map((name) => ["accounts:balance", { name }]), ["accounts:total", {}]];
  const watchers = [new TransitionWatcher(server.url, queries), new TransitionWatcher(server.url, queries)];
  try {
    await until("all queries have a value", () => watchers.every(({ latest }) => latest?.every((value) => value !== undefined)));
    t.diagnostic(`PG_LIVE_SEED=${SEED}`);
    await Promise.all(Array.from({ length: WRITERS }, (_, n) => writeTransfers(TRANSFERS / WRITERS, SEED + n)));
    const { rows } = await db.query("SELECT name, balance FROM accounts ORDER BY name");
    const expected = [...rows.map(({ balance }) => balance), TOTAL];
    for (const watcher of watchers) {
      await until(`the end state ${expected} is shown`, () => JSON.stringify(watcher.latest) === JSON.stringify(expected), {
        timeout: 30_000,
      });
      const transitions = assertNeverTorn(watcher);
      assert.ok(transitions > 20, `${transitions} transitions were seen`);
      t.diagnostic(`${transitions} transitions`);
    }
  } finally {
    await Promise.all(watchers.map((watcher) => watcher.close()));
  }
});

test("transfers by mutations of several clients add up, and none is seen half done", { timeout: 120_000 }, async () => {
  const queries = [...ACCOUNTS.map((name) => ["accounts:balance", { name }]), ["accounts:total", {}]];
  const watchers = Array.from({ length: 4 }, () => new TransitionWatcher(server.url, queries));
  try {
    await until("all queries have a value", () => watchers.every(({ latest }) => latest?.every((value) => value !== undefined)));
    const { rows: before } = await db.query("SELECT balance FROM accounts WHERE name = 'a'");
    const outcomes = await Promise.allSettled(
      watchers.flatMap((watcher) =>
        Array.from({ length: 25 }, () => watcher.mutation("accounts:transfer", { from: "a", to: "b", amount: 1 })),
      ),
    );
    const done = outcomes.filter(({ status }) => status === "fulfilled").length;
    const reasons = outcomes.filter(({ status }) => status === "rejected").map(({ reason }) => reason.message);
    assert.ok(reasons.every((reason) => reason.includes("changed while it was being run")), reasons.join("\n"));
    assert.ok(done >= 90, `${done} of 100 went through`);
    const { rows: after } = await db.query("SELECT balance FROM accounts WHERE name = 'a'");
    assert.equal(after[0].balance, before[0].balance - done, "each transfer counted once");
    for (const watcher of watchers) {
      await until("the end state is shown", () => watcher.latest[0] === after[0].balance);
      assertNeverTorn(watcher);
    }
  } finally {
    await Promise.all(watchers.map((watcher) => watcher.close()));
  }
});

/** Transfers until `stop.now`, through whatever happens to the connection; returns how many were made. */
async function transferOnAndOn(stop, seed) {
  const next = random(seed);
  let made = 0;
  while (!stop.now) {
    let connection;
    try {
      connection = await db.connect();
      await transferBySql(connection, next);
      connection.release();
      made += 1;
    } catch {
      connection?.release(true);
      await sleep(50);
    }
  }
  return made;
}

test("not even while parts of the server die", { timeout: 240_000 }, async (t) => {
  const queries = [...ACCOUNTS.map((name) => ["accounts:balance", { name }]), ["accounts:total", {}]];
  const watchers = [new TransitionWatcher(server.url, queries), new TransitionWatcher(server.url, queries)];
  const stop = { now: false };
  try {
    await until("all queries have a value", () => watchers.every(({ latest }) => latest?.every((value) => value !== undefined)));
    t.diagnostic(`PG_LIVE_SEED=${SEED}`);
    const writers = [transferOnAndOn(stop, SEED), transferOnAndOn(stop, SEED + 1)];
    const moved = (count) =>
      until(`${count} more transitions come`, () => watchers.every(({ seen }) => seen.length >= count), { timeout: 60_000 });
    for (const harm of [
      () => server.killWorker(),
      () => server.killRelay().then(() => server.startRelay()),
      () => server.endPostgres("SIGQUIT"),
      () => server.endPostgres("SIGINT"),
    ]) {
      await moved(Math.max(...watchers.map(({ seen }) => seen.length)) + 10);
      await harm();
      await server.whenDatabaseIsUp();
    }
    await moved(Math.max(...watchers.map(({ seen }) => seen.length)) + 10);
    stop.now = true;
    t.diagnostic(`${(await Promise.all(writers)).join(" and ")} transfers`);
    const { rows } = await db.query("SELECT balance FROM accounts ORDER BY name");
    const expected = JSON.stringify([...rows.map(({ balance }) => balance), TOTAL]);
    for (const watcher of watchers) {
      await until(`the end state ${expected} is shown`, () => JSON.stringify(watcher.latest) === expected, { timeout: 60_000 });
      t.diagnostic(`${assertNeverTorn(watcher)} transitions`);
    }
  } finally {
    stop.now = true;
    await Promise.all(watchers.map((watcher) => watcher.close()));
  }
});
