// Transfers between accounts, read by several queries of one client: the sum is right in every transition. Clients
// with two queries, all of which are hit by most transfers, and clients with ten, of which two are hit and the others
// are kept: both kinds must add up. RACES_TRANSITIONS says how many are checked, SEED and FROM repeat a part.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TransitionWatcher } from "../lib/clients.mjs";
import { random } from "../lib/random.mjs";
import { RawClient } from "../lib/raw-client.mjs";
import { Server } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";
import { copyEntries, LEVELS, mutate, transact } from "./writers.mjs";

const TRANSITIONS = Number(process.env.RACES_TRANSITIONS ?? 20_000);
const ROUND = Math.min(TRANSITIONS, 20_000);
const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const FROM = Number(process.env.FROM ?? 0);
const ACCOUNTS = Array.from({ length: 10 }, (_, n) => `account ${n}`);
const START = 1000;
const TOTAL = ACCOUNTS.length * START;
const WRITERS = 4;
const WATCHERS = 10;
const halfOf = (name) => ACCOUNTS.indexOf(name) % 2;

const BALANCES = ACCOUNTS.map((name) => ["ledger:balance", { name }]);
const HALVES = [0, 1].map((half) => ["ledger:half", { half }]);

/** @type {Server} */ let server;
let db;

before(async () => {
  server = await Server.start({ source: new URL("app", import.meta.url).pathname, ownRelay: true });
  db = server.sql();
  await db.query("INSERT INTO accounts (name, half, balance) SELECT name, half, $3 FROM unnest($1::text[], $2::float8[]) AS a(name, half)", [
    ACCOUNTS,
    ACCOUNTS.map(halfOf),
    START,
  ]);
});

after(async () => {
  await server?.stop();
});

/** Throws unless the values that a client shows add up. */
function assertSum(values, what) {
  const sum = values.reduce((a, b) => a + b, 0);
  if (sum !== TOTAL) {
    throw new Error(`torn: ${JSON.stringify(values)} is ${sum} in ${what}`);
  }
}

/** A client that checks each of its transitions. */
function watch(queries) {
  const client = new RawClient(server.url, ({ values, transitions }) => {
    if (values.size === queries.length) {
      assertSum([...values.values()], `transition ${transitions}`);
    }
  });
  client.ready = client.opened.then(() => {
    client.modify(queries);
    return client.until("all queries have a value", () => client.values.size === queries.length);
  });
  return client;
}

const changes = (from, to, amount) => [[from, -amount], [to, amount]].toSorted();

/** One transfer of some kind. */
async function transfer(connection, client, next) {
  // All in the same order: a deadlock would cost a second.
  const [from, to] = ACCOUNTS.map((name) => [next(), name]).toSorted().map(([, name]) => name).slice(0, 2).toSorted();
  const amount = Math.floor(next() * 101) - 50;
  const kind = next();
  if (kind < 0.2) {
    await mutate(client, "ledger:transfer", { from, to, amount });
  } else if (kind < 0.35) {
    await copyEntries(connection, changes(from, to, amount).map(([name, change]) => [name, halfOf(name), change]));
  } else if (kind < 0.5) {
    await transact(connection, LEVELS[Math.floor(next() * 3)], () => settle(connection, from));
  } else {
    const [savepoint, rollback] = [next() < 0.1, next() < 0.05];
    await transact(connection, LEVELS[Math.floor(next() * 3)], async () => {
      for (const [name, change] of changes(from, to, amount)) {
        await connection.query("UPDATE accounts SET balance = balance + $2 WHERE name = $1", [name, change]);
      }
      if (savepoint) {
        await connection.query(`SAVEPOINT s; UPDATE accounts SET balance = 0 WHERE name = '${to}'; ROLLBACK TO s`);
      }
      if (rollback) {
        await connection.query("ROLLBACK; BEGIN");
      }
    });
  }
}

/** Makes the entries of an account part of its balance: nothing that a query shows changes. */
async function settle(connection, name) {
  await connection.query(
    `WITH gone AS (DELETE FROM entries WHERE account = $1 RETURNING amount)
     UPDATE accounts SET balance = balance + (SELECT coalesce(sum(amount), 0) FROM gone) WHERE name = $1`,
    [name],
  );
}

/** Lets the clients keep up, most of the time: then most of their results are kept. Otherwise nearly all are hit. */
async function breathe(next, transitions) {
  const enough = transitions() + (next() < 0.3 ? 0 : WATCHERS);
  for (let ms = 0; transitions() < enough && ms < 100; ms += 2) {
    await sleep(2);
  }
}

async function write(stop, seed, transitions) {
  const connection = await db.connect();
  const client = new RawClient(server.url);
  let made = 0;
  try {
    await client.opened;
    const next = random(seed);
    for (; !stop.now; made += 1) {
      await transfer(connection, client, next);
      await breathe(next, transitions);
    }
    return made;
  } finally {
    client.close();
    connection.release();
  }
}

/** Writers and clients until the clients have seen so many transitions. */
async function round(seed, count) {
  const stop = { now: false };
  const clients = Array.from({ length: WATCHERS }, (_, n) => watch(n % 2 === 0 ? BALANCES : HALVES));
  const npm = new TransitionWatcher(server.url, BALANCES);
  const transitions = () => clients.reduce((sum, client) => sum + client.transitions, npm.seen.length);
  try {
    await Promise.all(clients.map((client) => client.ready));
    const writers = Array.from({ length: WRITERS }, (_, n) => write(stop, seed * WRITERS + n, transitions));
    const failed = Promise.all(writers); // Fails with the first of them.
    const isOver = () => transitions() >= count || clients.some((client) => client.hasFailed);
    const seen = until(`${count} transitions were seen`, isOver, { timeout: 1_800_000 });
    await Promise.race([seen, failed]);
    clients.forEach((client) => client.check());
    stop.now = true;
    const made = (await failed).reduce((a, b) => a + b);
    await Promise.all(clients.map(isCurrent));
    for (const values of npm.seen.filter((values) => values.every((value) => value !== undefined))) {
      assertSum(values, "a transition of the npm client");
    }
    return { made, transitions: transitions() };
  } finally {
    stop.now = true;
    clients.forEach((client) => client.close());
    await npm.close();
  }
}

/** When all is quiet a client shows what the database holds. */
async function isCurrent(client) {
  const { rows } = await db.query(
    `SELECT balance + (SELECT coalesce(sum(amount), 0) FROM entries WHERE account = name) AS has
     FROM accounts ORDER BY name`,
  );
  const all = rows.map(({ has }) => has);
  const half = (n) => all.filter((_, index) => index % 2 === n).reduce((a, b) => a + b, 0);
  const expected = () => (client.values.size === ACCOUNTS.length ? all : [half(0), half(1)]);
  await client.until(`${JSON.stringify(all)} is shown`, () => JSON.stringify([...client.values.values()]) === JSON.stringify(expected()));
}

/** How many results the relay kept without executing their queries. */
async function kept() {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/^pg_live_results_kept_total (\d+)$/m.exec(text)[1]);
}

test(`the sum is right in each of ${TRANSITIONS} transitions`, { timeout: 24 * 3_600_000 }, async (t) => {
  const [started, total] = [performance.now(), { made: 0, transitions: 0 }];
  for (let n = FROM; total.transitions < TRANSITIONS - FROM * ROUND; n += 1) {
    const seed = SEED + n;
    const outcome = await round(seed, ROUND).catch((error) => {
      error.message += `; again: SEED=${SEED} FROM=${n}`;
      throw error;
    });
    total.made += outcome.made;
    total.transitions += outcome.transitions;
    console.log(`round ${n}: ${total.transitions} transitions, ${total.made} transfers, none torn; on from here: SEED=${SEED} FROM=${n + 1}`);
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  const results = await kept();
  assert.ok(results > total.transitions / 10, `only ${results} results were kept`);
  t.diagnostic(`${total.transitions} transitions, ${total.made} transfers, ${results} results kept, ${seconds} s`);
});
