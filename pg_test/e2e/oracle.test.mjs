// Random writers of every kind and random subscriptions that come and go. Whenever the writers pause, each
// subscription must show what the same query gives when it is run afresh: nothing was lost, whatever the order.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ConvexHttpClient } from "convex/browser";
import { LiveClient } from "../lib/clients.mjs";
import { random, SEED } from "../lib/random.mjs";
import { Server } from "../lib/server.mjs";
import { sleep, until, within } from "../lib/wait.mjs";

const ROUNDS = Number(process.env.PG_LIVE_ROUNDS ?? 8);
const ROUND_MS = 1500;
const CLIENTS = 6;
const CHANNELS = ["a", "b", "c", undefined];
const ACCOUNTS = ["x", "y", "z"];

/** @type {Server} */ let server;
/** @type {ConvexHttpClient} */ let http;
let db;

before(async () => {
  server = await Server.start();
  http = new ConvexHttpClient(server.url, { logger: false });
  db = server.sql({ max: 12 });
  await db.query("INSERT INTO accounts(name, balance) SELECT name, 0 FROM unnest($1::text[]) AS name", [ACCOUNTS]);
});

after(async () => {
  await server?.stop();
});

const one = (next, choices) => choices[Math.floor(next() * choices.length)];
const channelArgs = (channel) => (channel === undefined ? {} : { channel });

/** A random query: name and arguments. Documents are asked for by an id that was there at some time. */
function anyQuery(next, ids) {
  const channel = one(next, CHANNELS);
  return one(next, [
    ["messages:list", channelArgs(channel)],
    ["messages:count", channelArgs(channel)],
    ["accounts:balance", { name: one(next, ACCOUNTS) }],
    ["accounts:total", {}],
    ...(ids.length > 0 ? [["messages:get", { id: one(next, ids) }]] : []),
  ]);
}

/** A random statement by SQL; `ids` gets the ids that it makes. */
async function anyStatement(connection, next, ids) {
  const channel = one(next, CHANNELS) ?? null;
  const body = `body ${Math.floor(next() * 1e9)}`;
  const kind = next();
  if (kind < 0.45) {
    const { rows } = await connection.query("INSERT INTO messages(author, body, channel) VALUES ('sql', $1, $2) RETURNING _id", [body, channel]);
    ids.push(rows[0]._id);
  } else if (kind < 0.6) {
    await connection.query("UPDATE messages SET body = $1 WHERE _id = $2", [body, one(next, ids) ?? ""]);
  } else if (kind < 0.7) {
    await connection.query("UPDATE messages SET channel = $1 WHERE _id = $2", [channel, one(next, ids) ?? ""]);
  } else if (kind < 0.8) {
    await connection.query("DELETE FROM messages WHERE _id = $1", [one(next, ids) ?? ""]);
  } else if (kind < 0.83) {
    await connection.query("UPDATE messages SET author = author || '!' WHERE channel IS NOT DISTINCT FROM $1", [channel]);
  } else if (kind < 0.85) {
    await connection.query("DELETE FROM messages WHERE channel IS NOT DISTINCT FROM $1", [channel]);
  } else if (kind < 0.86) {
    await connection.query("TRUNCATE messages");
  } else {
    await connection.query("UPDATE accounts SET balance = balance + 1 WHERE name = $1", [one(next, ACCOUNTS)]);
  }
}

/** Throws an error on, unless it says that a transaction lost against another one. */
function unlessLost(error) {
  if (!["40001", "40P01"].includes(error.code)) {
    throw error;
  }
}

/** A transaction of a few statements, with savepoints, pauses and rollbacks; losing against others is part of it. */
async function anyTransaction(next, ids) {
  const connection = await db.connect();
  try {
    await connection.query(`BEGIN ISOLATION LEVEL ${one(next, ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])}`);
    for (let n = Math.floor(next() * 4); n >= 0; n -= 1) {
      const nested = next() < 0.3;
      if (nested) {
        await connection.query("SAVEPOINT s");
      }
      await anyStatement(connection, next, ids);
      if (nested) {
        await connection.query(next() < 0.5 ? "ROLLBACK TO SAVEPOINT s" : "RELEASE SAVEPOINT s");
      }
      await sleep(next() < 0.2 ? next() * 60 : 0);
    }
    await connection.query(next() < 0.15 ? "ROLLBACK" : "COMMIT");
  } catch (error) {
    unlessLost(error);
    await connection.query("ROLLBACK");
  } finally {
    connection.release();
  }
}

async function anyMutation(client, next, ids) {
  const channel = one(next, CHANNELS);
  if (next() < 0.7) {
    ids.push(await client.mutation("messages:send", { author: "client", body: `m ${next()}`, ...channelArgs(channel) }));
  } else {
    const [from, to] = ACCOUNTS.toSorted(() => next() - 0.5);
    // It may lose against the other writers for good.
    await client.mutation("accounts:transfer", { from, to, amount: 1 }).catch(() => {});
  }
}

/** Does `step` again and again until the round is over. */
async function keepOn(end, step) {
  while (performance.now() < end) {
    await step();
  }
}

/** Waits until every subscription shows what its query gives now. */
async function assertRight(subscriptions) {
  for (const { subscription, name, args } of subscriptions) {
    const fresh = JSON.stringify(await within(name, http.query(name, args), 30_000));
    await until(`${name} ${JSON.stringify(args)} is ${fresh.slice(0, 300)}`, () => JSON.stringify(subscription.value) === fresh, {
      timeout: 10_000,
    }).catch((error) => {
      error.message += `; it is ${JSON.stringify(subscription.value)?.slice(0, 300)}`;
      throw error;
    });
    assert.deepEqual(subscription.errors, []);
  }
}

test("every subscription is right whenever the writers pause", { timeout: 60_000 + ROUNDS * 30_000 }, async (t) => {
  t.diagnostic(`PG_LIVE_SEED=${SEED}`);
  const next = random(SEED);
  const ids = [];
  const clients = Array.from({ length: CLIENTS }, () => new LiveClient(server.url));
  let subscriptions = [];
  const subscribe = (client) => {
    const [name, args] = anyQuery(next, ids);
    subscriptions.push({ client, name, args, subscription: client.subscribe(name, args) });
  };
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      const end = performance.now() + ROUND_MS;
      await Promise.all([
        ...Array.from({ length: 3 }, () => keepOn(end, () => anyTransaction(next, ids))),
        keepOn(end, () => anyStatement(db, next, ids).catch(unlessLost)),
        ...clients.slice(0, 3).map((client) => keepOn(end, () => anyMutation(client, next, ids))),
        keepOn(end, async () => {
          clients.forEach(subscribe);
          await sleep(150);
          const left = subscriptions.splice(0, Math.max(0, subscriptions.length - 40));
          left.forEach(({ subscription }) => subscription.stop());
          if (next() < 0.2) {
            one(next, clients).cut();
          }
        }),
      ]);
      await assertRight(subscriptions);
    }
    t.diagnostic(`${ids.length} messages were written`);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
});
