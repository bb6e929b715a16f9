// How long it takes to find the live queries that a change of one row touches, among so many entries of read-sets.
// The measuring is a program with criterion (bench/match), which is built for this part only.
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { figure } from "../lib/format.mjs";
import { ROOT } from "../lib/report.mjs";

const SIZES = [100, 10_000, 1_000_000];
/** Memory is told of the largest size: below it, it drowns in what the process has anyway. */
const LARGEST = 1_000_000;

const CASES = {
  lookup: "hashbrown: a lookup in a map of so many keys",
  equality: "a column equals a constant",
  in: "IN with ten constants",
  range: "a range",
  miss: "a range, none is hit",
};

async function build(target) {
  const manifest = join(ROOT, "bench/match/Cargo.toml");
  const args = ["build", "--release", "--locked", "--quiet", "--manifest-path", manifest, "--target-dir", target];
  await promisify(execFile)("cargo", args, { cwd: ROOT });
  return join(target, "release/pg_live_bench_match");
}

/** Runs the program; resolves to its lines of JSON. */
async function run(program, home) {
  const env = { ...process.env, CRITERION_HOME: home };
  const child = spawn(program, { env, stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (data) => (text += data));
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  if (code !== 0) {
    throw new Error(`bench/match ended with ${code}: ${text}`);
  }
  return text.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}

/** Criterion's figures of one case, in nanoseconds. */
async function estimate(home, size, name) {
  const { median } = JSON.parse(await readFile(join(home, `${size}`, name, "new/estimates.json"), "utf8"));
  const { lower_bound: min, upper_bound: max } = median.confidence_interval;
  return { ns: median.point_estimate, min, max };
}

/** Measures all of it. */
export async function measure({ say }) {
  say("match: building bench/match");
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
  const program = await build(join(target, "bench-match"));
  const home = await mkdtemp(join(tmpdir(), "pg_live-match-"));
  try {
    say("match: 1,000,000, 10,000 and 100 entries");
    const memory = await run(program, home);
    const { bytesPerEntry } = memory.find(({ entries }) => entries === LARGEST);
    const samples = {};
    for (const size of SIZES) {
      samples[size] = {};
      for (const name of Object.keys(CASES)) {
        samples[size][name] = await estimate(home, size, name);
      }
    }
    return report(samples, bytesPerEntry);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

function report(samples, bytesPerEntry) {
  const times = (name, to) => Math.max(...SIZES.map((size) => samples[size][name].ns / samples[size][to].ns));
  const micros = ({ ns }) => figure(ns / 1000);
  const routed = Object.keys(CASES).filter((name) => name !== "lookup");
  const rows = Object.entries(CASES).map(([name, label]) => [
    label,
    ...SIZES.flatMap((size) => {
      const of = samples[size];
      return [micros(of[name]), name === "lookup" ? "" : figure(of[name].ns / of.lookup.ns)];
    }),
    name === "lookup" ? "" : figure(bytesPerEntry[name]),
  ]);
  return {
    figures: {
      samples,
      equality: { timesLookup: times("equality", "lookup"), microseconds: samples[10_000].equality.ns / 1000 },
      ranges: {
        timesLookup: Math.max(...["in", "range", "miss"].map((name) => times(name, "lookup"))),
        timesEquality: Math.max(...["in", "range", "miss"].map((name) => times(name, "equality"))),
        microseconds: Math.max(...["in", "range", "miss"].map((name) => samples[10_000][name].ns)) / 1000,
      },
      bytesPerEntry: Math.max(...routed.map((name) => bytesPerEntry[name])),
    },
    tables: [
      {
        title: "Routing the change of one row",
        columns: ["µs (median)", ...SIZES.flatMap((size) => [size.toLocaleString("en"), "times lookup"]), "bytes per entry"],
        rows,
        note: "An UPDATE with one column of interest. Keys of 9 bytes, one entry per query but for IN; memory is what the process has more.",
      },
    ],
    plots: [
      {
        title: "Routing the change of one row",
        x: { label: "entries" },
        y: { label: "µs" },
        series: Object.entries(CASES).map(([name, label]) => ({
          name: label,
          points: SIZES.map((size) => {
            const { ns, min, max } = samples[size][name];
            return [size, ns / 1000, min / 1000, max / 1000];
          }),
        })),
      },
    ],
  };
}
