// A session that calls more modules than its heap has room for: V8 starts anew before a call finds none.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { call, connect, createDatabase, deploy, source } from "./lib.mjs";

const DATABASE = "crowded";
const MODULES = 100;
/** Functions that each module has and nobody calls. */
const FUNCTIONS = 300;
/** The code of all modules, of each twice once its calls share a context, is more than that. */
const HEAP_MB = 32;
const ROUNDS = Number(process.env.CROWDED_ROUNDS ?? 3);

/** @type {import("pg").Client} */ let control;

before(async () => {
  control = await createDatabase(DATABASE, ["register.js"]);
});

after(async () => {
  await control?.end();
});

/** A module that keeps nothing, so that calls share a context of it. */
function large(version, n) {
  const filler = Array.from(
    { length: FUNCTIONS },
    (_, k) => `export function f${k}(a, b) { return a > ${k} ? [a, b, "${n} ${k}"] : { left: a + ${k}, right: b * ${n} }; }`,
  );
  return `import { register } from "./register.js";
export const value = register("Query", () => "${version} ${n}");
${filler.join("\n")}\n`;
}

async function deployLarge(version) {
  const modules = Array.from({ length: MODULES }, (_, n) => [`m${n}.js`, large(version, n)]);
  await deploy(control, { "register.js": await source("register.js"), ...Object.fromEntries(modules) });
}

test("no call of many large modules, of one deployment after another, finds the heap full", async () => {
  await deployLarge("first");
  const { rows } = await control.query(
    `SELECT DISTINCT context FROM live.functions WHERE module LIKE 'm%.js' AND deployment = (SELECT deployment FROM live.active)`,
  );
  assert.deepEqual(rows, [{ context: "guarded" }]);
  const client = await connect(DATABASE);
  try {
    await client.query(`SET pg_live.heap_size_mb = ${HEAP_MB}`);
    for (const version of ["first", "second"]) {
      if (version !== "first") await deployLarge(version);
      for (let k = 0; k < ROUNDS * MODULES; k += 1) {
        const n = k % MODULES;
        assert.equal(await call(client, "query", `m${n}:value`), `${version} ${n}`, `call ${k}`);
      }
    }
  } finally {
    await client.end();
  }
});
