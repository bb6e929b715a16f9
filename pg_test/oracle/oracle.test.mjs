// Live queries of all kinds beside writes of all kinds. PG_LIVE_SEED repeats a run, ORACLE_COMMITS and ORACLE_QUERIES
// make it longer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "../capture/cluster.mjs";
import { SEED } from "../lib/random.mjs";
import { Oracle } from "./oracle.mjs";

const COMMITS = Number(process.env.ORACLE_COMMITS ?? 600);
const QUERIES = Number(process.env.ORACLE_QUERIES ?? 60);

async function start(name) {
  const cluster = await Cluster.start(name, { autovacuum: "off", jit: "off", max_prepared_transactions: 0 });
  const writer = await cluster.connect();
  const reader = await cluster.connect();
  await writer.query("CREATE EXTENSION pg_live");
  return { cluster, writer, reader };
}

/** Runs a schedule; gives the divergence that was found, or null. */
async function run(oracle, commits) {
  for (let commit = 0; commit < commits; commit += 1) {
    await oracle.write();
    await oracle.step();
    if (oracle.divergence) {
      oracle.divergence.message += `\n(commit ${commit}, seed ${SEED})`;
      return oracle.divergence;
    }
  }
  return null;
}

test("what is not invalidated has not changed", async (t) => {
  console.log(`PG_LIVE_SEED=${SEED}, ${COMMITS} commits, ${QUERIES} queries`);
  const { cluster, writer, reader } = await start("oracle");
  t.after(() => cluster.stop());
  const oracle = new Oracle(SEED, { queries: QUERIES, folder: cluster.socket });
  await oracle.begin(writer, reader);
  const divergence = await run(oracle, COMMITS);
  assert.equal(divergence, null, divergence?.message);
  await cluster.assertHealthy();
  const share = Object.entries(oracle.reruns).map(([of, count]) => `${of} ${oracle.needless[of]}/${count}`);
  console.log(`${oracle.comparisons} comparisons; runs whose result was the same: ${share.join(", ")}`);
  assert.ok(oracle.comparisons > COMMITS * QUERIES / 20, "most queries were invalidated by every commit");
});

// The suite must notice a write that nobody is told of.
const MISTAKES = {
  "no trigger of a partition tree fires": {
    plant: `DO $$ DECLARE part regclass; BEGIN FOR part IN SELECT relid FROM pg_partition_tree('o.p') LOOP
              EXECUTE format('ALTER TABLE ONLY %s DISABLE TRIGGER USER', part); END LOOP; END $$`,
    write: "INSERT INTO o.p (id, a, b) VALUES (1000, 1, 1)",
    query: "SELECT count(*), sum(a), sum(b) FROM p",
  },
  "a function is replaced without a word": {
    plant: "ALTER EVENT TRIGGER pg_live_definition DISABLE",
    write: "CREATE OR REPLACE FUNCTION o.f_sql(x int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 12345::bigint'",
    query: "SELECT f_sql(2) AS n",
  },
  "a policy is changed without a word": {
    plant: "ALTER EVENT TRIGGER pg_live_definition DISABLE; ALTER EVENT TRIGGER pg_live_ddl DISABLE",
    write: "ALTER POLICY mine ON o.secrets USING (id = 77)",
    query: "SELECT id FROM secrets",
    role: "oracle_reader",
  },
};

for (const [index, [mistake, { plant, write, query, role = null }]] of Object.entries(MISTAKES).entries()) {
  test(`planted: ${mistake}`, async (t) => {
    const { cluster, writer, reader } = await start(`oracle${index}`);
    t.after(() => cluster.stop());
    const oracle = new Oracle(SEED, { queries: 0, folder: cluster.socket });
    await oracle.begin(writer, reader, [{ sql: query, role }], [
      "INSERT INTO o.members VALUES (900, 1, 3) ON CONFLICT DO NOTHING",
      "INSERT INTO o.secrets VALUES (77, 5, 1), (78, 1, 1) ON CONFLICT DO NOTHING",
    ]);
    // Triggers that were disabled would be put right again at once.
    await writer.query("SET pg_live.repairing = on");
    await writer.query(plant);
    await writer.query("RESET pg_live.repairing");
    await writer.query(write);
    await oracle.step();
    assert.ok(oracle.divergence !== undefined, "the mistake was not noticed");
  });
}
