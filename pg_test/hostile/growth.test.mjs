// A backend that serves many calls and deployments does not grow.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { call, connect, createDatabase, deploy, source } from "./lib.mjs";

const DATABASE = "growth";
const CALLS = Number(process.env.PG_LIVE_GROWTH_CALLS ?? 50_000);
const DEPLOYMENTS = Number(process.env.PG_LIVE_GROWTH_DEPLOYMENTS ?? 20);
/** Calls per deployment in contexts of their own; the rest takes one that serves many. */
const FRESH = Math.floor(CALLS / DEPLOYMENTS / 10);
const REUSED = Math.ceil(CALLS / DEPLOYMENTS) - FRESH;
/** What differs between two looks: garbage that is not collected yet. */
const SLACK_KB = 6 * 1024;

/** @type {import("pg").Client} */ let control;

before(async () => {
  control = await createDatabase(DATABASE, ["state.js", "other.js", "register.js"]);
});

after(async () => {
  await control?.end();
});

/** What the process has for itself, in kB. */
async function privateMemory(client) {
  // A statement, so that what is done between statements has been done.
  await client.query("SELECT 1");
  const text = await readFile(`/proc/${client.processID}/smaps_rollup`, "utf8");
  return Number(/^Private_Dirty:\s+(\d+) kB$/m.exec(text)[1]);
}

test(`${CALLS} calls and ${DEPLOYMENTS} deployments in one backend`, async () => {
  const client = await connect(DATABASE);
  const register = await source("register.js");
  const [state, other] = await Promise.all(["state.js", "other.js"].map(source));
  const memory = [];
  for (let n = 0; n < DEPLOYMENTS; n += 1) {
    await deploy(control, {
      "register.js": register,
      "state.js": `export const experimental_reuseContext = true;\n${state}\nexport const deployed = register("Query", () => ${n});\n`,
      "other.js": other,
    });
    assert.equal(await call(client, "query", "state:deployed"), n);
    const many = (path, count) => client.query(`SELECT count(live.query('${path}')) FROM generate_series(1, ${count})`);
    await many("state:look", REUSED);
    await many("other:look", Math.ceil(FRESH / 2));
    for (let k = 0; k < FRESH / 2; k += 1) await call(client, "query", "other:look");
    memory.push(await privateMemory(client));
  }
  await client.end();
  const settled = Math.max(...memory.slice(0, Math.ceil(DEPLOYMENTS / 4)));
  const grown = memory.at(-1) - settled;
  assert.ok(grown < SLACK_KB, `private memory in kB after each deployment: ${memory.join(", ")}`);
});
