// Subscriptions opened while writers commit. Each is to an account of its own that is written just then, and not
// afterwards: what is missed would never be shown. RACES_SUBSCRIPTIONS says how many, SEED and FROM repeat a part.
import { after, before, test } from "node:test";
import { LiveClient } from "../lib/clients.mjs";
import { random } from "../lib/random.mjs";
import { RawClient } from "../lib/raw-client.mjs";
import { Server } from "../lib/server.mjs";
import { sleep } from "../lib/wait.mjs";
import { copyEntries, LEVELS, mutate, transact } from "./writers.mjs";

const SUBSCRIPTIONS = Number(process.env.RACES_SUBSCRIPTIONS ?? 3_000);
const ROUND = Math.min(SUBSCRIPTIONS, 1_000);
const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const FROM = Number(process.env.FROM ?? 0);
const CLIENTS = 8;
/** A client has up to so many live queries, so that most results are kept when the next one is added. */
const LIVE = 8;
/** One in so many is opened by a client of npm convex. */
const NPM_EVERY = 50;

/** @type {Server} */ let server;
let db;

before(async () => {
  server = await Server.start({ source: new URL("app", import.meta.url).pathname, ownRelay: true });
  db = server.sql({ max: CLIENTS });
});

after(async () => {
  await server?.stop();
});

/** Writes to an account once, by some means; resolves when it is committed. Each write adds one to what it has. */
async function write({ connection, writer }, name, next) {
  const kind = next();
  if (kind < 0.25) {
    await mutate(writer, "ledger:bump", { name });
  } else if (kind < 0.4) {
    await copyEntries(connection, [[name, -1, 1]]);
  } else {
    const rollback = next() < 0.1;
    await transact(connection, LEVELS[Math.floor(next() * 3)], async () => {
      if (rollback) {
        await connection.query("SAVEPOINT s");
        await connection.query("DELETE FROM accounts WHERE name = $1", [name]);
        await connection.query("ROLLBACK TO s");
      }
      await connection.query("UPDATE accounts SET balance = balance + 1 WHERE name = $1", [name]);
    });
  }
}

/** So many writes to an account, some before the subscription is opened, some while it is. */
async function writeSome(part, name, next, acknowledged) {
  for (let left = 1 + Math.floor(next() * 3); left > 0; left -= 1) {
    if (next() < 0.5) {
      await sleep(next() * 4);
    }
    await write(part, name, next);
    acknowledged.value += 1;
  }
}

/** Opens a subscription of a raw client while its account is written; fails if it does not come to the last write. */
async function race(part, name, next) {
  const { client, open } = part;
  const acknowledged = { value: 1 };
  const writing = writeSome(part, name, next, acknowledged);
  await sleep(next() * 5);
  const atLeast = acknowledged.value;
  const removed = open.length >= LIVE ? open.splice(0, 1 + Math.floor(next() * 2)) : [];
  const [id] = client.modify([["ledger:balance", { name }]], removed);
  open.push(id);
  await client.until(`${name} has a value`, () => client.values.has(id));
  if (client.values.get(id) < atLeast) {
    throw new Error(`${name} is ${client.values.get(id)} at first, but ${atLeast} was acknowledged before`);
  }
  await writing;
  await client.until(`${name} becomes ${acknowledged.value}`, () => client.values.get(id) === acknowledged.value);
}

/** The same by a client of npm convex. */
async function raceOfNpm(part, name, next) {
  const acknowledged = { value: 1 };
  const writing = writeSome(part, name, next, acknowledged);
  await sleep(next() * 5);
  const subscription = part.npm.subscribe("ledger:balance", { name });
  await writing;
  await subscription.becomes(`becomes ${acknowledged.value}`, (value) => value === acknowledged.value, { timeout: 30_000 });
  subscription.stop();
}

async function openPart() {
  const [client, writer] = [new RawClient(server.url), new RawClient(server.url)];
  await Promise.all([client.opened, writer.opened]);
  return { client, writer, npm: new LiveClient(server.url), connection: await db.connect(), open: [] };
}

async function closePart({ client, writer, npm, connection }) {
  client.close();
  writer.close();
  await npm.close();
  connection.release();
}

async function round(parts, seed, count) {
  const names = Array.from({ length: count }, (_, n) => `${seed} ${n}`);
  await parts[0].connection.query("TRUNCATE accounts, entries");
  await parts[0].connection.query(
    "INSERT INTO accounts (name, half, balance) SELECT name, -1, 1 FROM unnest($1::text[]) AS name",
    [names],
  );
  await Promise.all(
    parts.map(async (part, number) => {
      const next = random(seed * CLIENTS + number);
      for (let n = number; n < count; n += parts.length) {
        await (n % NPM_EVERY === 0 ? raceOfNpm : race)(part, names[n], next);
        part.client.check();
      }
      part.client.modify([], part.open.splice(0));
    }),
  );
}

test(`none of ${SUBSCRIPTIONS} subscriptions misses a write`, { timeout: 24 * 3_600_000 }, async (t) => {
  const started = performance.now();
  const parts = [];
  try {
    for (let n = 0; n < CLIENTS; n += 1) {
      parts.push(await openPart());
    }
    for (let n = FROM; n * ROUND < SUBSCRIPTIONS; n += 1) {
      await round(parts, SEED + n, ROUND).catch((error) => {
        error.message += `; again: SEED=${SEED} FROM=${n}`;
        throw error;
      });
      console.log(`round ${n}: ${(n + 1) * ROUND} subscriptions, none missed a write; on from here: SEED=${SEED} FROM=${n + 1}`);
    }
  } finally {
    await Promise.all(parts.map(closePart));
  }
  t.diagnostic(`${SUBSCRIPTIONS - FROM * ROUND} subscriptions in ${Math.round((performance.now() - started) / 1000)} s`);
});
