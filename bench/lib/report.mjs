// The report: one JSON file per part, and a summary and a page of all that are there.
import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { arch, cpus, loadavg, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PG_LIVE } from "../../pg_test/lib/server.mjs";
import { TARGETS } from "../targets.mjs";
import { headline } from "./headline.mjs";
import { reportPage } from "./html.mjs";
import { summary } from "./summary.mjs";
import { tally, verdicts } from "./verdicts.mjs";

/** The repository. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The short form has a folder of its own: its figures are not for the record. */
const REPORT = join(ROOT, process.env.BENCH_QUICK === "1" ? "bench/report/quick" : "bench/report");

const output = (program, args) => execFileSync(program, args, { cwd: ROOT, encoding: "utf8" }).trim();

/** The commit, and whether files differ from it. */
function commit() {
  try {
    return {
      hash: output("git", ["rev-parse", "--short=12", "HEAD"]),
      changed: output("git", ["status", "--porcelain", "--untracked-files=no"]) !== "",
    };
  } catch {
    return { hash: "none", changed: true };
  }
}

/** What tells one build of the programs from another. */
async function builds() {
  const fingerprint = async (path) => {
    try {
      return createHash("sha256").update(await readFile(path)).digest("hex").slice(0, 12);
    } catch {
      return "none";
    }
  };
  return { relay: await fingerprint(PG_LIVE), extension: await fingerprint(join(dirname(PG_LIVE), "libpg_live.so")) };
}

/** Settings of the bench itself, from the environment. */
const settings = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => /^BENCH_|^MODE$/.test(name)));

async function packageVersions() {
  const { dependencies } = JSON.parse(await readFile(join(ROOT, "bench/package.json"), "utf8"));
  return dependencies;
}

/** The machine and its load now, the versions, the commit. */
export async function surroundings() {
  return {
    date: new Date().toISOString(),
    commit: commit(),
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      architecture: arch(),
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      kernel: release(),
      loadBefore: loadavg()[0],
    },
    versions: {
      node: process.version,
      rust: output("rustc", ["--version"]),
      psql: output("psql", ["--version"]),
      pgLive: output(PG_LIVE, ["version"]),
      ...(await packageVersions()),
    },
    builds: await builds(),
    settings: settings(),
  };
}

/** Version and the settings that decide what a commit costs. */
export async function databaseSettings(server) {
  const { rows } = await server.sql({ max: 1 }).query(
    `SELECT name, setting FROM pg_settings
      WHERE name IN ('server_version', 'fsync', 'synchronous_commit', 'shared_buffers', 'max_connections')`,
  );
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
}

export async function writePart(part, content) {
  await mkdir(REPORT, { recursive: true });
  await writeFile(join(REPORT, `${part}.json`), `${JSON.stringify({ part, ...content }, null, 2)}\n`);
}

/** The newest report of each part that is there, by name. */
export async function readReports() {
  const files = (await readdir(REPORT)).filter((file) => file.endsWith(".json")).toSorted();
  return Promise.all(files.map(async (file) => JSON.parse(await readFile(join(REPORT, file), "utf8"))));
}

/** Whether this very commit has measured the part, without failing. */
export async function isMeasured(part) {
  try {
    const report = JSON.parse(await readFile(join(REPORT, `${part}.json`), "utf8"));
    return report.failed === undefined && report.commit.hash === commit().hash;
  } catch {
    return false;
  }
}

/** Writes summary.md, headline.md and report.html from the newest report of each part; resolves to the summary. */
export async function writeSummary() {
  const reports = await readReports();
  const all = verdicts(TARGETS, reports);
  const counts = tally(all);
  const text = summary(reports, all, counts);
  await writeFile(join(REPORT, "summary.md"), text);
  await writeFile(join(REPORT, "headline.md"), headline(reports));
  await writeFile(join(REPORT, "report.html"), reportPage(reports, all, counts));
  return text;
}
