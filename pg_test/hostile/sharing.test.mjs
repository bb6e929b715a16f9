// Calls of modules that were found to keep nothing share a context: no call sees another, and one that the context
// does not suit is undone and runs in one of its own.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { call, connect, createDatabase, deploy, source } from "./lib.mjs";

const DATABASE = "sharing";
const CALLS = 5;

/** @type {import("pg").Client} */ let control;

before(async () => {
  control = await createDatabase(DATABASE, ["frozen.js", "register.js"]);
  await control.query("SELECT live.attach(77)");
});

after(async () => {
  await control?.end();
});

async function withSession(settings, body) {
  const client = await connect(DATABASE);
  try {
    for (const [name, value] of Object.entries(settings)) await client.query(`SELECT set_config($1, $2, false)`, [name, value]);
    await body(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/** A deployment of its own, which no test before has taught anything. */
async function deployAnew(marker, extra = {}) {
  const modules = { "frozen.js": await source("frozen.js"), "register.js": await source("register.js"), ...extra };
  modules["frozen.js"] += `\nexport const marker = register("Query", () => "${marker}");\n`;
  await deploy(control, modules);
}

/** How functions run, by the deployment in force. */
async function contexts(module) {
  const { rows } = await control.query(
    `SELECT name, context, reason FROM live.functions WHERE module = $1 AND deployment = (SELECT deployment FROM live.active) ORDER BY name`,
    [module],
  );
  return Object.fromEntries(rows.map(({ name, context, reason }) => [name, { context, reason }]));
}

async function eventually(check) {
  for (let tries = 0; tries < 300; tries += 1) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail("it did not become true");
}

const made = async (client) => (await client.query("SELECT (live.engine()->>'contexts_made')::int AS n")).rows[0].n;

test("the catalog says which way each function runs, and why", async () => {
  await deployAnew("says", { "state.js": await source("state.js") });
  const frozen = await contexts("frozen.js");
  assert.deepEqual(frozen.look.context, "guarded");
  assert.match(frozen.look.reason, /nothing that the module keeps can change/);
  assert.equal(frozen.write.context, "guarded");
  const state = await contexts("state.js");
  assert.equal(state.look.context, "fresh");
  assert.match(state.look.reason, /\w/);
});

for (const share of ["on", "off"]) {
  const settings = { "pg_live.share_contexts": share };
  for (const way of ["a statement each", "one statement"]) {
    test(`sharing ${share}, ${way}: nothing of a call shows in another`, async () => {
      await deployAnew(`${share} ${way}`);
      await withSession(settings, async (client) => {
        const run = async (name) => {
          if (way === "one statement") {
            const { rows } = await client.query(`SELECT live.query('frozen:${name}') AS value FROM generate_series(1, ${CALLS})`);
            return rows.map(({ value }) => value);
          }
          const seen = [];
          for (let n = 0; n < CALLS; n += 1) seen.push(await call(client, "query", `frozen:${name}`));
          return seen;
        };
        for (const value of await run("leaveQuietly")) assert.deepEqual(value, [null, 2, null]);
        for (const value of await run("look")) assert.deepEqual(value, [3, ["one", "two"], [1, 2], { seen: null }]);
        for (const value of await run("leave")) assert.equal(value, null);
        for (const value of await run("look")) assert.deepEqual(value, [3, ["one", "two"], [1, 2], { seen: null }]);
        assert.equal(await call(client, "mutation", "frozen:write"), true);
      });
    });
  }
}

test("calls share a context", async () => {
  await deployAnew("shares");
  await withSession({}, async (client) => {
    for (let n = 0; n < 3; n += 1) await call(client, "query", "frozen:look");
    const before = await made(client);
    await client.query("SELECT live.query('frozen:look') FROM generate_series(1, 50)");
    assert.equal(await made(client), before);
  });
});

test("a call that a frozen object hinders runs again by itself, and its module shares no context any more", async () => {
  await deployAnew("hinders");
  await withSession({}, async (client) => {
    for (let n = 0; n < CALLS; n += 1) assert.equal(await call(client, "query", "frozen:leave"), null);
  });
  await eventually(async () => (await contexts("frozen.js")).leave.context === "fresh");
  assert.match((await contexts("frozen.js")).look.reason, /succeeds, or fails otherwise.*TypeError/);
  const { rows } = await control.query("SELECT line FROM live.logs WHERE function = 'frozen.js' ORDER BY id DESC LIMIT 1");
  assert.match(rows[0].line, /frozen\.js no longer share a context/);
});

test("a call that fails by itself changes nothing", async () => {
  await deployAnew("fails");
  await withSession({}, async (client) => {
    for (let n = 0; n < CALLS; n += 1) await assert.rejects(call(client, "query", "frozen:fail"), /TypeError/);
    const before = await made(client);
    await client.query("SELECT live.query('frozen:look') FROM generate_series(1, 50)");
    assert.ok((await made(client)) <= before + 1);
  });
  assert.equal((await contexts("frozen.js")).fail.context, "guarded");
});

/** How often each text was noted. */
async function notes(prefix) {
  const { rows } = await control.query("SELECT text, count(*)::int AS times FROM notes WHERE text LIKE $1 || '%' GROUP BY text ORDER BY text", [prefix]);
  return rows.map(({ text, times }) => [text, times]);
}

test("mutations share a context", async () => {
  await deployAnew("notes");
  await withSession({}, async (client) => {
    for (let n = 0; n < 3; n += 1) await call(client, "mutation", "frozen:note", { text: `shared ${n}` });
    const before = await made(client);
    for (let n = 3; n < 8; n += 1) assert.equal(await call(client, "mutation", "frozen:note", { text: `shared ${n}` }), `shared ${n}`);
    assert.equal(await made(client), before);
  });
  assert.deepEqual(await notes("shared"), Array.from({ length: 8 }, (_, n) => [`shared ${n}`, 1]));
});

test("a mutation that a frozen object hinders is undone and runs again by itself", async () => {
  await deployAnew("undone");
  await withSession({}, async (client) => {
    for (let n = 0; n < CALLS; n += 1) assert.equal(await call(client, "mutation", "frozen:noteAndLeave", { text: `undone ${n}` }), null);
  });
  assert.deepEqual(await notes("undone"), Array.from({ length: CALLS }, (_, n) => [`undone ${n}`, 1]));
  await eventually(async () => (await contexts("frozen.js")).noteAndLeave.context === "fresh");
});

test("a mutation that fails by itself writes nothing and changes nothing", async () => {
  await deployAnew("fails to note");
  await withSession({}, async (client) => {
    for (let n = 0; n < CALLS; n += 1) await assert.rejects(call(client, "mutation", "frozen:noteAndFail", { text: "failed" }), /TypeError/);
    assert.equal(await call(client, "mutation", "frozen:note", { text: "not failed" }), "not failed");
  });
  assert.deepEqual(await notes("failed"), []);
  assert.equal((await contexts("frozen.js")).noteAndFail.context, "guarded");
});

test("calls that are compared tell a difference", async () => {
  await deployAnew("differs");
  await withSession({ "pg_live.recheck_calls": "1" }, async (client) => {
    for (let n = 0; n < CALLS; n += 1) assert.equal(await call(client, "query", "frozen:differ"), false);
  });
  await eventually(async () => (await contexts("frozen.js")).differ.context === "fresh");
  assert.match((await contexts("frozen.js")).differ.reason, /something else/);
});

test("without a comparison a function can tell where it runs, and nothing more", async () => {
  await deployAnew("tells");
  await withSession({ "pg_live.recheck_calls": "0" }, async (client) => {
    const seen = [];
    for (let n = 0; n < CALLS; n += 1) seen.push(await call(client, "query", "frozen:differ"));
    assert.equal(seen.at(-1), true);
  });
});
