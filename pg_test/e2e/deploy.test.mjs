// Deploys while clients are connected: a good one changes live queries, a bad one changes nothing.
import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { LiveClient } from "../lib/clients.mjs";
import { cutter } from "../lib/cutter.mjs";
import { copyApp, Server, TEST_APP } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

/** @type {Server} */ let server;
/** @type {LiveClient} */ let client;
let db;
/** A copy of the app that `pg-live dev` does not watch. */
let staging;

before(async () => {
  server = await Server.start();
  db = server.sql();
  client = new LiveClient(server.url);
  await client.mutation("messages:send", { author: "ada", body: "kept", channel: "deploy" });
});

after(async () => {
  await client?.close();
  await server?.stop();
});

beforeEach(async () => {
  staging = join(server.root, "staging");
  await rm(staging, { recursive: true, force: true });
  await copyApp(TEST_APP, staging);
});

const source = (name) => join(staging, "convex", name);
const write = (name, text) => writeFile(source(name), text);

/** Replaces a piece of a source file, which must be there. */
async function edit(name, from, to) {
  const text = await readFile(source(name), "utf8");
  assert.ok(text.includes(from), `${name} has ${from}`);
  await write(name, text.replace(from, to));
}

async function deployFails(...patterns) {
  const { code, stdout, stderr } = await server.deploy(staging);
  assert.notEqual(code, 0, `the deploy went through\n${stdout}\n${stderr}`);
  for (const pattern of patterns) {
    assert.match(`${stdout}\n${stderr}`, pattern);
  }
  const messages = await client.query("messages:list", { channel: "deploy" });
  assert.equal(messages[0].body, "kept", "the running deployment serves on");
}

async function deploySucceeds() {
  const { code, stdout, stderr } = await server.deploy(staging);
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  return stdout + stderr;
}

test("_generated is written", async () => {
  await deploySucceeds();
  const api = await readFile(source("_generated/api.d.ts"), "utf8");
  assert.match(api, /import type \* as messages from "\.\.\/messages\.js";/);
  for (const name of ["api.js", "dataModel.d.ts", "server.d.ts", "server.js"]) {
    assert.match(await readFile(source(`_generated/${name}`), "utf8"), /Written by `pg-live dev`/);
  }
});

test("the chat example's own _generated is what the deploy writes", async () => {
  const example = join(TEST_APP, "../../../examples/chat");
  const copy = join(server.root, "chat");
  await copyApp(example, copy);
  await rm(join(copy, "convex/_generated"), { recursive: true });
  await server.deploy(copy); // Whether its schema fits this database is not the question here.
  for (const name of ["api.d.ts", "api.js", "dataModel.d.ts", "server.d.ts", "server.js"]) {
    assert.equal(
      await readFile(join(copy, "convex/_generated", name), "utf8"),
      await readFile(join(example, "convex/_generated", name), "utf8"),
      name,
    );
  }
  await rm(copy, { recursive: true });
  await deploySucceeds();
});

test("a syntax error: file and line; the running deployment stays", async () => {
  await write("broken.ts", "export const fine = 1;\nexport const broken = (;\n");
  await deployFails(/broken\.ts:2/);
});

test("an import that is not there: file and line", async () => {
  await write("broken.ts", '\nimport { nothing } from "./nowhere";\nexport const x = nothing;\n');
  await deployFails(/broken\.ts:2/, /nowhere/);
});

test("a module that throws when it is loaded: file and line", async () => {
  await write("broken.ts", "export const fine = 1;\n\nthrow new Error(`at import ${fine}`);\n");
  await deployFails(/at import 1/, /broken\.ts:3/);
});

test("a schema that is none", async () => {
  await write("schema.ts", 'export default { tables: "none" };\n');
  await deployFails(/schema/);
});

test("a schema that the data does not fit: the document is named", async () => {
  await edit("schema.ts", "channel: v.optional(v.string()),", "channel: v.optional(v.string()),\n    rating: v.number(),");
  await deployFails(/messages/, /rating/);
  await client.mutation("messages:send", { author: "ada", body: "kept", channel: "deploy" });
});

test("a changed query reaches its subscribers at once", async () => {
  const list = client.subscribe("messages:list", { channel: "deploy" });
  await list.ready();
  await edit("messages.ts", ".take(50),\n", ".take(50).then((all) => all.map((m) => ({ ...m, body: m.body.toUpperCase() }))),\n");
  await deploySucceeds();
  await list.becomes("is in capitals", ([first]) => first?.body === "KEPT");
  await rm(staging, { recursive: true });
  await copyApp(TEST_APP, staging);
  await deploySucceeds();
  await list.becomes("is as before", ([first]) => first?.body === "kept");
  assert.deepEqual(list.errors, []);
  list.stop();
});

test("a function that is taken away fails for its subscribers, and works again when it is back", async () => {
  const query = client.subscribe("extra:answer", {});
  await until("it is not there yet", () => query.errors.length > 0);
  await write("extra.ts", 'import { query } from "./_generated/server";\nexport const answer = query({ args: {}, handler: async () => 42 });\n');
  await deploySucceeds();
  await query.becomes("is 42", (value) => value === 42);
  const errors = query.errors.length;
  await rm(source("extra.ts"));
  await deploySucceeds();
  await until("it fails", () => query.errors.length > errors);
  assert.match(query.errors.at(-1).message, /Could not find public function for 'extra:answer'/);
  query.stop();
});

test("a new table, field and index are there at once, for functions and for SQL", async () => {
  await edit(
    "schema.ts",
    "channel: v.optional(v.string()),\n  })",
    "channel: v.optional(v.string()),\n    stars: v.optional(v.number()),\n  }).index(\"by_stars\", [\"stars\"])",
  );
  await edit("schema.ts", "accounts: defineTable", "notes: defineTable({ text: v.string() }),\n\n  accounts: defineTable");
  await write(
    "extra.ts",
    `import { query } from "./_generated/server";
export const starred = query({
  args: {},
  handler: async (ctx) =>
    (await ctx.db.query("messages").withIndex("by_stars", (q) => q.gt("stars", 3)).collect()).map((m) => m.body),
});
export const notes = query({ args: {}, handler: async (ctx) => (await ctx.db.query("notes").collect()).map((n) => n.text) });
`,
  );
  await deploySucceeds();
  const starred = client.subscribe("extra:starred", {});
  const notes = client.subscribe("extra:notes", {});
  await starred.becomes("is empty", (bodies) => bodies.length === 0);
  await notes.becomes("is empty", (texts) => texts.length === 0);
  await db.query("INSERT INTO messages(author, body, stars) VALUES ('psql', 'good', 5), ('psql', 'bad', 1)");
  await starred.becomes("has the good one", (bodies) => bodies.join() === "good");
  await db.query("INSERT INTO notes(text) VALUES ('a note')");
  await notes.becomes("has the note", (texts) => texts.join() === "a note");
  await db.query("DELETE FROM messages WHERE stars IS NOT NULL");
  await db.query("DELETE FROM notes");
  starred.stop();
  notes.stop();
});

test("a deploy of what is deployed already says so", async () => {
  await deploySucceeds();
  assert.match(await deploySucceeds(), /unchanged|nothing to|no change/i);
});

/** A server that has not noticed yet may hold the lock of a deploy that was cut. */
async function deploySucceedsInTime() {
  return await until("a deploy goes through", async () => {
    const { code, stdout, stderr } = await server.deploy(staging);
    return code === 0 && stdout + stderr;
  }, { timeout: 120_000 });
}

const answers = (text) =>
  until(`the new function says ${text}`, async () => (await client.query("extra:cut", {})) === text, { timeout: 60_000 });

const inForce = async () => (await db.query("SELECT deployment::int AS n FROM live.active")).rows[0].n;

for (const [when, statement, moment] of [
  ["while the source is sent", "live.deploy_start", "within"],
  ["before the switch", "live.deploy_finish", "before"],
]) {
  test(`the network is cut ${when}: what ran before serves on, and the next deploy finishes the work`, async () => {
    await write("extra.ts", `import { query } from "./_generated/server";\nexport const cut = query({ args: {}, handler: async () => "${moment}" });\n`);
    const before = await inForce();
    const proxy = await cutter(server.env.DATABASE_URL, statement, moment);
    const { code, stderr } = await server.run(["deploy", staging, "--url", proxy.url]);
    proxy.close();
    assert.equal(proxy.cuts, 1, stderr);
    assert.equal(code, 3, stderr);
    assert.match(stderr, /connection to the database was lost.*Deploying again/);
    assert.equal(await inForce(), before);
    assert.equal((await client.query("messages:list", { channel: "deploy" }))[0].body, "kept");
    await deploySucceedsInTime();
    await answers(moment);
  });
}

test("the network is cut after the switch, before its answer: deploying again finds nothing to do", async () => {
  await write("extra.ts", 'import { query } from "./_generated/server";\nexport const cut = query({ args: {}, handler: async () => "after" });\n');
  const before = await inForce();
  const proxy = await cutter(server.env.DATABASE_URL, "live.deploy_finish", "after");
  const { code, stderr } = await server.run(["deploy", staging, "--url", proxy.url]);
  proxy.close();
  assert.equal(proxy.cuts, 1, stderr);
  assert.equal(code, 3, stderr);
  assert.notEqual(await inForce(), before);
  await answers("after");
  assert.match(await deploySucceedsInTime(), /unchanged/);
});

test("pg-live dev deploys a changed file by itself, and survives one that does not compile", async () => {
  const list = client.subscribe("messages:list", { channel: "deploy" });
  await list.ready();
  const file = join(server.app, "convex/messages.ts");
  const original = await readFile(file, "utf8");
  await writeFile(file, original.replace(".take(50),\n", ".take(50).then((all) => all.map((m) => ({ ...m, body: `<${m.body}>` }))),\n"));
  await list.becomes("is changed", ([first]) => first?.body === "<kept>", { timeout: 30_000 });
  await writeFile(file, `${original}\nexport const broken = (;\n`);
  const log = join(server.dir, "dev.log");
  await until("the error is in the log", async () => /messages\.ts:\d+/.test(await readFile(log, "utf8")), { timeout: 30_000 });
  assert.equal((await client.query("messages:list", { channel: "deploy" }))[0].body, "<kept>");
  await writeFile(file, original);
  await list.becomes("is as before", ([first]) => first?.body === "kept", { timeout: 30_000 });
  list.stop();
});
