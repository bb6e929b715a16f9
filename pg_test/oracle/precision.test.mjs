// Runs for nothing, in the default mix. PG_LIVE_SEED repeats a run, PRECISION_COMMITS and PRECISION_QUERIES make it longer;
// `make bench PART=precision` makes a report of all classes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster, MODE } from "../capture/cluster.mjs";
import { SEED } from "../lib/random.mjs";
import { measurePrecision } from "./precision.mjs";

const COMMITS = Number(process.env.PRECISION_COMMITS ?? 300);
const QUERIES = Number(process.env.PRECISION_QUERIES ?? 60);
const CLASSES = ["key", "equality"];
const MOST = 0.05;

test("hardly any run of a read by key or by equality is for nothing", async (t) => {
  console.log(`PG_LIVE_SEED=${SEED}, ${COMMITS} commits, ${QUERIES} queries`);
  const cluster = await Cluster.start("precision", { autovacuum: "off", jit: "off" });
  t.after(() => cluster.stop());
  const [writer, reader] = [await cluster.connect(), await cluster.connect()];
  await writer.query("CREATE EXTENSION pg_live");
  const { classes, comparisons } = await measurePrecision({ writer, reader, seed: SEED, commits: COMMITS, queries: QUERIES, classes: CLASSES });
  console.log(`${comparisons} comparisons; runs whose result was the same, by class:`);
  for (const [of, { runs, unchanged, share }] of Object.entries(classes)) {
    console.log(`  ${of.padEnd(24)} ${unchanged} of ${runs} (${share === null ? "-" : (share * 100).toFixed(1)} %)`);
  }
  assert.ok(classes.key.runs + classes.equality.runs > 0, "nothing was run again");
  for (const of of CLASSES) {
    // From the WAL: rows that are not handed over in time count as a change of the table.
    assert.ok(MODE === "wal" || (classes[of].share ?? 0) <= MOST, `${of}: ${classes[of].unchanged} of ${classes[of].runs} for nothing`);
  }
  await cluster.assertHealthy();
});
