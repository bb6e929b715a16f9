// How long a newcomer waits: `make setup build` in a clean clone with nothing built.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duration } from "../lib/format.mjs";
import { ROOT } from "../lib/report.mjs";

/** Runs one make target in the clone; resolves to its seconds. */
async function timeTarget(clone, target) {
  const { CARGO_TARGET_DIR, ...env } = process.env;
  const started = performance.now();
  const make = spawn("make", [target], { cwd: clone, env, stdio: ["ignore", "pipe", "pipe"] });
  const output = [];
  make.stdout.on("data", (data) => output.push(data));
  make.stderr.on("data", (data) => output.push(data));
  const [code] = await once(make, "close");
  const took = (performance.now() - started) / 1000;
  if (code !== 0) {
    const log = join(ROOT, "bench/report/build.log");
    await writeFile(log, Buffer.concat(output));
    throw new Error(`make ${target} ended with ${code}; its output is in ${log}`);
  }
  return took;
}

/** Times both targets; the downloads of cargo, npm and apt are kept from earlier builds if there were any. */
export async function measure({ say }) {
  const clone = await mkdtemp(join(tmpdir(), "pg-live-build-"));
  try {
    execFileSync("git", ["clone", "--quiet", ROOT, clone]);
    say("build: make setup");
    const setup = await timeTarget(clone, "setup");
    say("build: make build (ten minutes and more)");
    const build = await timeTarget(clone, "build");
    return {
      figures: { setupSeconds: setup, buildSeconds: build },
      tables: [
        {
          title: "`make setup build` from nothing",
          columns: ["", "time"],
          rows: [["make setup", duration(setup)], ["make build", duration(build)]],
          note:
            "A clean clone of the commit, an empty target folder; packages of the system and the downloads of " +
            "cargo and npm as they were before.",
        },
      ],
    };
  } finally {
    await rm(clone, { recursive: true, force: true });
  }
}
