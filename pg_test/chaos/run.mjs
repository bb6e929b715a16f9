// Rounds of load, damage, quiet and checks. ROUNDS says how many, SEED where to begin: the round with number n of
// seed s is the first of seed s + n, so a failure is repeated by ROUNDS=1 and the seed that it printed.
import { performance } from "node:perf_hooks";
import { random } from "../lib/random.mjs";
import { sleep } from "../lib/wait.mjs";
import { checkForward, checkFresh, checkWrites, readCounters, timesToCurrent, unlisted } from "./lib/checks.mjs";
import { Cluster } from "./lib/cluster.mjs";
import { FAULTS } from "./lib/faults.mjs";
import { Audience, fillTables, Load } from "./lib/load.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 15);
/** Without a seed the first 15 rounds are those with the faults that are named first. */
const SEED = Number(process.env.SEED ?? (Math.floor(Date.now() / 1000) % 50_000) * FAULTS.length);
const { CHAOS_WORK: work, CHAOS_DISK: disk, CHAOS_BIN: bin, CHAOS_UID, CHAOS_GID, CHAOS_OWN_DISK } = process.env;
const account = CHAOS_UID === undefined ? undefined : { uid: Number(CHAOS_UID), gid: Number(CHAOS_GID) };

const percentile = (samples, share) => samples.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(share * samples.length) - 1)];

/** Consecutive seeds go through all faults. */
const faultOf = (seed) => FAULTS[seed % FAULTS.length];

async function playRound(cluster, audience, seed, offset) {
  const next = random(seed);
  const fault = faultOf(seed);
  const channels = [`${seed} x`, `${seed} y`];
  const before = await cluster.asAdmin(async (admin) => {
    await admin.query("DELETE FROM messages");
    return await readCounters(admin);
  });
  audience.follow(channels);
  const load = new Load(cluster, audience, seed, channels, next);
  load.start();
  await sleep(300 + next() * 500);
  await fault.run({ cluster, audience, load, channels, next, round: seed });
  await sleep(200 + next() * 500);
  await load.stop();
  const times = await timesToCurrent(cluster, audience, seed);
  await checkWrites(cluster, load, before);
  await checkFresh(cluster, audience);
  checkForward(audience);
  const { text, end } = await cluster.logFrom(offset);
  const lines = [...unlisted(text, fault.allowed ?? []), ...(await cluster.panicsOfRelay())];
  if (lines.length > 0) {
    throw new Error(`the logs have:\n${lines.join("\n")}`);
  }
  return { times, end, writes: load.acknowledged.length, unknown: load.unknown };
}

async function main() {
  console.log(`SEED=${SEED} ROUNDS=${ROUNDS}; ${CHAOS_OWN_DISK === "1" ? "a file system of its own" : "limits of file size"} for the full disk`);
  const cluster = await Cluster.start({ work, bin, account, disk, ownDisk: CHAOS_OWN_DISK === "1" });
  const audience = new Audience(cluster.url);
  const all = [];
  let failed = 0;
  try {
    await fillTables(cluster);
    let { end: offset } = await cluster.logFrom(0);
    for (let seed = SEED; seed < SEED + ROUNDS && failed === 0; seed += 1) {
      const started = performance.now();
      try {
        const { times, end, writes, unknown } = await playRound(cluster, audience, seed, offset);
        offset = end;
        all.push(...times);
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        console.log(`ok - ${faultOf(seed).name} (seed ${seed}, ${seconds} s; ${writes} writes acknowledged, ${unknown} not; current after ${percentile(times, 0.5).toFixed(0)} ms)`);
      } catch (error) {
        failed += 1;
        console.log(`not ok - ${faultOf(seed).name} (seed ${seed})`);
        console.log(error);
        console.log(`again: SEED=${seed} ROUNDS=1 scripts/test/chaos.sh`);
      }
    }
  } finally {
    await Promise.race([audience.close(), sleep(2_000)]);
    await cluster.stop();
  }
  if (all.length > 0) {
    const [p50, p99] = [0.5, 0.99].map((share) => percentile(all, share).toFixed(0));
    console.log(`time to current, from a commit after the damage until a client shows it: p50 ${p50} ms, p99 ${p99} ms (${all.length} samples)`);
  }
  return failed;
}

process.exit((await main()) === 0 ? 0 : 1);
