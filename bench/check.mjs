// `make bench-check`: the short form's ratios and the instructions of hot paths beside bench/baseline.json.
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { compare } from "./lib/baseline.mjs";
import { figure, table } from "./lib/format.mjs";
import { readReports } from "./lib/report.mjs";
import { verdicts } from "./lib/verdicts.mjs";
import { TARGETS } from "./targets.mjs";

const BASELINE = fileURLToPath(new URL("baseline.json", import.meta.url));
const run = promisify(execFile);
const [program, ...modes] = process.argv.slice(2);
const withRatios = !modes.includes("--only-instructions");

/** Instructions of one path, by callgrind: those of the function that takes it a thousand times. */
async function instructionsOf(path) {
  const { stderr } = await run("valgrind", [
    "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*::counted*", program, path,
  ]);
  const collected = Number(/Collected\s*:\s*(\d+)/.exec(stderr)?.[1]);
  if (!(collected > 0)) {
    throw new Error(`callgrind counts nothing for ${path}:\n${stderr}`);
  }
  return collected;
}

async function instructions() {
  const { stdout } = await run(program, []);
  const counts = {};
  for (const path of stdout.trim().split("\n")) {
    counts[path] = await instructionsOf(path);
  }
  return counts;
}

/** The ratios that are targets: other figures are the machine's as much as the program's. */
async function ratios() {
  const all = verdicts(TARGETS, await readReports()).filter(({ value, unit }) => value?.min !== undefined && unit === undefined);
  return Object.fromEntries(all.map(({ text, value, better }) => [text, { ...value, better }]));
}

const before = JSON.parse(await readFile(BASELINE, "utf8").catch(() => '{"ratios":{},"instructions":{}}'));
const now = { ratios: withRatios ? await ratios() : before.ratios, instructions: await instructions() };
if (modes.includes("--update")) {
  await writeFile(BASELINE, `${JSON.stringify(now, null, 2)}\n`);
  console.log(`wrote ${Object.keys(now.ratios).length} ratios and ${Object.keys(now.instructions).length} counts`);
  process.exit(0);
}
const outcome = compare(withRatios ? before : { ...before, ratios: {} }, now);
const rows = outcome.map(({ name, old, value, times, isLost }) => [
  name,
  figure(old),
  value === undefined ? "not measured" : figure(value),
  times === undefined ? "" : figure(times),
  isLost ? "**lost**" : "",
]);
console.log(table(["", "baseline", "now", "times worse", ""], rows));
const lost = outcome.filter(({ isLost }) => isLost);
console.log(`${outcome.length - lost.length} passed, ${lost.length} failed`);
process.exit(lost.length === 0 ? 0 : 1);
