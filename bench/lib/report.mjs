// The report: one JSON file per part, and a summary of all that are there.
import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { arch, cpus, loadavg, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PG_LIVE } from "../../pg_test/lib/server.mjs";
import { figure, table } from "./format.mjs";

/** The repository. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const REPORT = join(ROOT, "bench/report");

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
      pgLive: output(PG_LIVE, ["version"]),
      ...(await packageVersions()),
    },
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

function section({ part, date, commit, machine, versions, database, seconds, failed, tables }) {
  const postgres = database === undefined ? "" : `, Postgres ${database.server_version}, fsync ${database.fsync}`;
  const changed = commit.changed ? " with changes" : "";
  const head =
    `## ${part}\n\n${date}, commit ${commit.hash}${changed}, ${machine.cores} × ${machine.cpu}, ` +
    `${machine.memoryGiB} GiB, load before ${figure(machine.loadBefore)}, Node ${versions.node}${postgres}, ${figure(seconds)} s.`;
  if (failed !== undefined) {
    return `${head}\n\n**Failed, so it has no figures:** ${failed}`;
  }
  const texts = tables.flatMap(({ title, columns, rows, note }) => [`### ${title}`, table(columns, rows), note]);
  return [head, ...texts].join("\n\n");
}

/** Writes summary.md from the newest report of each part; resolves to its text. */
export async function writeSummary() {
  const files = (await readdir(REPORT)).filter((file) => file.endsWith(".json")).toSorted();
  const parts = await Promise.all(files.map(async (file) => JSON.parse(await readFile(join(REPORT, file), "utf8"))));
  const text = `# Benchmarks\n\n${parts.map(section).join("\n\n")}\n`;
  await writeFile(join(REPORT, "summary.md"), text);
  return text;
}
