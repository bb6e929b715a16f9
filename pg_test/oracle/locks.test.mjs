// What Postgres locks for a query in SERIALIZABLE wakes the live query: rows and index pages. PG_LIVE_SEED repeats a run,
// LOCKS_QUERIES makes it longer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "../capture/cluster.mjs";
import { SEED } from "../lib/random.mjs";
import { FINE_LOCKS, LockCheck } from "./locks.mjs";

const QUERIES = Number(process.env.LOCKS_QUERIES ?? 30);

test("a write to a row or to an index page that Postgres has locked for a query wakes it", async (t) => {
  console.log(`PG_LIVE_SEED=${SEED}`);
  const cluster = await Cluster.start("locks", { autovacuum: "off", jit: "off", ...FINE_LOCKS });
  t.after(() => cluster.stop());
  const [writer, reader, locker] = [await cluster.connect(), await cluster.connect(), await cluster.connect()];
  await writer.query("CREATE EXTENSION pg_live");
  const check = new LockCheck(SEED, QUERIES);
  await check.begin(writer, reader, locker);
  for (const query of check.oracle.queries) {
    assert.deepEqual(await check.missing(query), [], `locked, and not in the read-set of ${query.sql}`);
  }
  console.log(`${check.rows} rows and ${check.keys} keys on locked pages, all covered`);
  assert.ok(check.rows >= QUERIES / 3 && check.keys >= QUERIES / 3, "Postgres locked next to nothing");

  // The check must notice a read-set that is too small.
  const [query] = check.oracle.queries;
  const missing = await check.missing(query, "SELECT x.id FROM left_side AS x WHERE x.n BETWEEN 100 AND 900");
  assert.notDeepEqual(missing, [], "a read-set of one row passed for one of many");
  await cluster.assertHealthy();
});
