// What must be true when all is quiet again.
import assert from "node:assert/strict";
import { ConvexHttpClient } from "convex/browser";
import { until } from "../../lib/wait.mjs";
import { ACCOUNTS, TOTAL } from "./load.mjs";

const PATIENCE = { timeout: 45_000, every: 5 };

/** Writes a mark and measures how long it takes until each client shows it, in milliseconds. */
export async function timesToCurrent(cluster, audience, mark) {
  let connection;
  await until("the mark can be written", async () => {
    connection = await cluster.connect();
    const { rowCount } = await connection.query("UPDATE counters SET value = $1 WHERE name = 'marker'", [mark]);
    return rowCount === 1;
  }, PATIENCE);
  const written = performance.now();
  await connection.end().catch(() => {});
  return await Promise.all(audience.markers.map(async (marker) => {
    await until(`the mark ${mark} is shown`, () => marker.shown === mark, PATIENCE);
    return performance.now() - written;
  }));
}

/** 0 acknowledged writes lost, and none done twice. */
export async function checkWrites(cluster, load, countersBefore) {
  await cluster.asAdmin(async (admin) => {
    const { rows } = await admin.query("SELECT body, count(*)::int AS n FROM messages GROUP BY body");
    const there = new Map(rows.map(({ body, n }) => [body, n]));
    const lost = load.acknowledged.filter((body) => !there.has(body));
    assert.deepEqual(lost, [], "acknowledged writes that are lost");
    const twice = [...there].filter(([, n]) => n > 1);
    assert.deepEqual(twice, [], "writes that were done more than once");
    const counters = await readCounters(admin);
    for (const [name, bumps] of Object.entries(load.bumps)) {
      const grown = counters[name] - countersBefore[name];
      assert.ok(grown >= bumps, `counter ${name} grew by ${grown}, but ${bumps} were acknowledged`);
    }
  });
}

export async function readCounters(admin) {
  const { rows } = await admin.query("SELECT name, value FROM counters");
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

/** 0 clients stale: each shows what its query gives now, which is what the tables hold. */
export async function checkFresh(cluster, audience) {
  const http = new ConvexHttpClient(cluster.relayUrl, { logger: false });
  const fresh = new Map();
  for (const { name, args, subscription } of audience.watched) {
    const key = JSON.stringify([name, args]);
    if (!fresh.has(key)) {
      fresh.set(key, JSON.stringify(await http.query(name, args)));
    }
    const expected = fresh.get(key);
    await until(`${key} is ${expected}`, () => JSON.stringify(subscription.value) === expected, PATIENCE).catch((error) => {
      throw new Error(`stale: ${error.message}; it is ${JSON.stringify(subscription.value)}`);
    });
    assert.deepEqual(subscription.errors.splice(0), [], `errors of ${key}`);
  }
  await checkAgainstTables(cluster, fresh);
  await checkBalances(cluster, audience);
}

async function checkAgainstTables(cluster, fresh) {
  await cluster.asAdmin(async (admin) => {
    const counters = await readCounters(admin);
    for (const [key, value] of fresh) {
      const [name, args] = JSON.parse(key);
      if (name === "chaos:count") {
        assert.equal(value, JSON.stringify(counters[args.name]), key);
      } else {
        const { rows } = await admin.query(
          "SELECT body FROM messages WHERE channel = $1 ORDER BY \"_creationTime\" DESC, _id DESC LIMIT 20",
          [args.channel],
        );
        assert.equal(value, JSON.stringify(rows.map(({ body }) => body)), key);
      }
    }
  });
}

/** No transition shows half of a transfer; the last one is what the table holds. */
async function checkBalances(cluster, audience) {
  const balances = await cluster.asAdmin(async (admin) => {
    const { rows } = await admin.query("SELECT balance FROM accounts WHERE name = ANY($1) ORDER BY name", [ACCOUNTS]);
    return JSON.stringify(rows.map(({ balance }) => balance));
  });
  for (const watcher of audience.watchers) {
    await until(`the balances ${balances} are shown`, () => JSON.stringify(watcher.latest) === balances, PATIENCE).catch((error) => {
      throw new Error(`stale: ${error.message}; they are ${JSON.stringify(watcher.latest)}`);
    });
    for (const seen of watcher.seen.splice(0, watcher.seen.length - 1)) {
      if (seen.every((balance) => balance !== undefined)) {
        assert.equal(seen.reduce((sum, balance) => sum + balance, 0), TOTAL, `torn: ${JSON.stringify(seen)}`);
      }
    }
  }
}

/** No client went backwards: the counters only grow. */
export function checkForward(audience) {
  for (const { args, subscription } of audience.counters) {
    const { values } = subscription;
    const back = values.findIndex((value, index) => index > 0 && value < values[index - 1]);
    assert.equal(back, -1, `counter ${args.name} went back: ${values.slice(Math.max(0, back - 2), back + 2)}`);
    values.splice(0, values.length - 1);
  }
}

/** Lines of the server's log that say that something is wrong, and are not meant to come with the fault. */
export function unlisted(text, allowed) {
  const usual = [/terminating connection because of crash of another server process/, ...allowed];
  return text
    .split("\n")
    .filter((line) => / (PANIC|WARNING):/.test(line) || /TRAP:|pg_live met a defect/.test(line))
    .filter((line) => !usual.some((pattern) => pattern.test(line)));
}
