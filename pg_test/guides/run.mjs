// Runs the guides of docs/guides as their readers would, block by block. Arguments name guides.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { freePort } from "../lib/processes.mjs";
import { blocksOf } from "./blocks.mjs";
import { Shell } from "./shell.mjs";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const GUIDES = join(ROOT, "docs/guides");
/** How long a state may take to come about. */
const PATIENCE = 120_000;

/** What differs between the reader's machine and this one. */
const { GUIDES_BIN, GUIDES_POSTGRES_PORT, GUIDES_PRELUDE = "" } = process.env;

let failed = 0;

function report(ok, name, output) {
  console.log(`${ok ? "ok" : "not ok"} - ${name}`);
  if (!ok) {
    failed += 1;
    console.log(output.split("\n").map((line) => `    ${line}`).join("\n"));
  }
  return ok;
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(holds) {
  const end = Date.now() + PATIENCE;
  while (!(await holds())) {
    if (Date.now() > end) {
      return false;
    }
    await sleep(200);
  }
  return true;
}

/** The shell command that runs a block. */
function commandOf({ language, text, as }) {
  if (language === "sh") {
    return text;
  }
  const url = as === "owner" ? "$DATABASE_URL" : "$PG_LIVE_ADMIN_URL";
  return `psql "${url}" -X -v ON_ERROR_STOP=1 <<'GUIDE_SQL'\n${text}\nGUIDE_SQL`;
}

async function runBlock(shell, block, folder) {
  if (block.file !== undefined) {
    const { output } = await shell.run("pwd");
    await writeFile(join(output.trim(), block.file), `${block.text}\n`);
    return { ok: true, output: "" };
  }
  if (block.background) {
    const before = shell.printed.length;
    shell.start(block.text);
    const ok = await until(() => shell.printed.slice(before).includes(block.until ?? ""));
    return { ok, output: shell.printed.slice(before) };
  }
  const before = shell.printed.length;
  let result;
  const fits = async () => {
    result = await shell.run(commandOf(block));
    const code = block.fails === undefined ? result.code === 0 : result.code !== 0;
    const wanted = block.fails ?? block.expect;
    return code && (wanted === undefined || result.output.includes(wanted));
  };
  let ok = block.retry ? await until(fits) : await fits();
  let { output } = result;
  if (ok && block.then !== undefined) {
    ok = await until(() => shell.printed.slice(before).includes(block.then));
    output += `\nin the background:\n${shell.printed.slice(before)}`;
  }
  return { ok, output: `${folder}: exit code ${result.code}\n${output}` };
}

/** What a guide takes for granted: a database, and for production the library. */
async function prepare(shell, name) {
  if (name === "quick-start") {
    return [true, `${name}: nothing is needed`, ""];
  }
  const server = "psql ${PG_LIVE_ADMIN_URL%/shop}/postgres -X -q -v ON_ERROR_STOP=1";
  const preload = name === "existing-postgres" ? "RESET shared_preload_libraries" : "SET shared_preload_libraries = 'pg_live'";
  const { code, output } = await shell.run(`
${server} -c "ALTER SYSTEM ${preload}" -c "DROP DATABASE IF EXISTS shop WITH (FORCE)" \\
  -c "CREATE DATABASE shop ENCODING 'UTF8' TEMPLATE template0"
systemctl restart postgresql
${name === "convex-project" ? await oldProject() : ""}`);
  return [code === 0, `${name}: what the reader has`, output];
}

/** A project with documents: what is taken for Convex is a development server. */
async function oldProject() {
  const port = await freePort();
  return `
mkdir "$GUIDE_WORK/old"
cp -r '${join(ROOT, "pg_test/convex-cli/app")}/.' "$GUIDE_WORK/old"
ln -s '${join(ROOT, "pg_test/node_modules")}' "$GUIDE_WORK/old/node_modules"
cd "$GUIDE_WORK/old"
pg-live dev --detach --no-frontend --port ${port}
. .pg-live/env
unset DATABASE_URL
pg-live run notes:add '{"author": "ada", "body": "first"}'
pg-live run notes:add '{"author": "bob", "body": "second"}'
pg-live env set GREETING "hello there"
export PG_LIVE_ADMIN_URL='postgres://postgres@127.0.0.1:${GUIDES_POSTGRES_PORT}/shop'
export DATABASE_URL='postgres://moved:change-me@127.0.0.1:${GUIDES_POSTGRES_PORT}/shop'
`;
}

async function runGuide(name) {
  const markdown = await readFile(join(GUIDES, `${name}.md`), "utf8");
  const work = await mkdtemp(join(tmpdir(), "pg-live-guide-work-"));
  await mkdir(join(work, "bin"));
  // A package that is installed already need not be fetched again.
  await writeFile(join(work, "bin/npm"), `#!/bin/sh
[ "$1" = install ] || exec ${JSON.stringify(process.env.GUIDES_NPM ?? "npm")} "$@"
modules='${join(ROOT, "pg_test/node_modules")}'
[ -e src ] && [ -e '${join(ROOT, "examples/chat/node_modules")}' ] && modules='${join(ROOT, "examples/chat/node_modules")}'
exec ln -sfn "$modules" node_modules
`, { mode: 0o755 });
  const [relayPort, secondPort, poolerPort] = [await freePort(), await freePort(), await freePort()];
  const changed = markdown
    .replaceAll("127.0.0.1:5432", `127.0.0.1:${GUIDES_POSTGRES_PORT}`)
    .replaceAll("port=5432", `port=${GUIDES_POSTGRES_PORT}`)
    .replaceAll("127.0.0.1:3210", `127.0.0.1:${relayPort}`)
    .replaceAll("127.0.0.1:3211", `127.0.0.1:${secondPort}`)
    .replaceAll("6432", `${poolerPort}`)
    .replaceAll("pg-live dev --detach", `pg-live dev --detach --port ${relayPort} --no-frontend`);
  const env = {
    ...process.env,
    PATH: `${join(work, "bin")}:${GUIDES_BIN}:${process.env.PATH}`,
    PG_LIVE_URL: `http://127.0.0.1:${relayPort}`,
    GUIDE_WORK: work,
  };
  delete env.DATABASE_URL;
  delete env.PG_LIVE_ADMIN_URL;
  // The quick start has a server of its own; the others have that of the tests, where they are administrators.
  if (name !== "quick-start") {
    env.PG_LIVE_ADMIN_URL = `postgres://postgres@127.0.0.1:${GUIDES_POSTGRES_PORT}/shop`;
  }
  const shell = await Shell.start(work, env, GUIDES_PRELUDE);
  const times = [];
  try {
    if (!report(...(await prepare(shell, name)))) {
      return;
    }
    for (const block of blocksOf(changed)) {
      if (block.skip || !(["sh", "sql"].includes(block.language) || block.file !== undefined)) {
        continue;
      }
      if (block.needs !== undefined && (await shell.run(`command -v ${block.needs}`)).code !== 0) {
        console.log(`# ${name}:${block.line}: not run, there is no ${block.needs}`);
        continue;
      }
      const started = Date.now();
      const { ok, output } = await runBlock(shell, block, work);
      const seconds = (Date.now() - started) / 1000;
      const head = block.file ?? block.text.trim().split("\n").at(-1).slice(0, 60);
      times.push(`${seconds.toFixed(1).padStart(7)} s  ${head}`);
      if (!report(ok, `${name}:${block.line}: ${head}`, output)) {
        // What follows depends on it.
        break;
      }
    }
  } finally {
    for (const app of ["my-app", "old"]) {
      await shell.run(`[ ! -d "$GUIDE_WORK/${app}" ] || pg-live stop "$GUIDE_WORK/${app}"`);
      // As root, data that the cluster's user could not reach is elsewhere.
      await shell.run(`data="$GUIDE_WORK/${app}/.pg-live"; [ ! -L "$data" ] || rm -rf "$(readlink "$data")"`);
    }
    await shell.remove();
    await rm(work, { recursive: true, force: true });
  }
  if (process.env.GUIDES_TIMES !== undefined) {
    console.log(times.join("\n"));
  }
}

const all = (await readdir(GUIDES)).filter((file) => file.endsWith(".md")).map((file) => file.slice(0, -3)).sort();
const wanted = process.argv.length > 2 ? process.argv.slice(2) : all;
for (const name of wanted) {
  await runGuide(name);
}
process.exitCode = failed === 0 ? 0 : 1;
