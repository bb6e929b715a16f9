// The real `npx convex` of npm against a relay: every command beside pushes.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ConvexHttpClient } from "convex/browser";
import { LiveClient } from "../lib/clients.mjs";
import { freePort } from "../lib/processes.mjs";
import { PG_LIVE, Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { Project } from "./cli.mjs";

/** @type {Server} */ let server;
/** @type {Project} */ let project;
let client, db, root;

before(async () => {
  server = await Server.start();
  db = server.sql();
  root = await mkdtemp(join(tmpdir(), "pg-live-cli-"));
  const { CONVEX_SELF_HOSTED_URL: url, CONVEX_SELF_HOSTED_ADMIN_KEY: key } = server.env;
  project = await Project.create(root, { url, key });
  await project.ok(["deploy", "--typecheck", "disable"]);
  client = new ConvexHttpClient(server.url, { logger: false });
  await client.mutation("notes:add", { author: "ada", body: "first" });
});

after(async () => {
  await server?.stop();
  if (root) await rm(root, { recursive: true, force: true });
});

const bodies = async () => (await db.query("SELECT body FROM notes ORDER BY body")).rows.map((row) => row.body);

test("env: set, get, list, remove; functions see it at once, live queries run again", async () => {
  assert.equal(await client.query("notes:greeting"), "unset");
  const live = new LiveClient(server.url);
  const greeting = live.subscribe("notes:greeting", {});
  await greeting.becomes("is unset", (text) => text === "unset", { timeout: 60_000 });
  await project.ok(["env", "set", "GREETING", "hello there"]);
  await greeting.becomes("is set", (text) => text === "hello there", { timeout: 60_000 });
  await live.close();
  assert.equal(await client.query("notes:greeting"), "hello there");
  assert.equal((await project.ok(["env", "get", "GREETING"])).stdout, "hello there");
  await project.ok(["env", "set", "SECRET"], { input: "from\nstdin" });
  assert.equal((await project.ok(["env", "get", "SECRET"])).stdout, "from\nstdin");
  const listed = (await project.ok(["env", "list", "--include-values"])).stdout;
  assert.match(listed, /^GREETING=.*hello there/m);
  assert.doesNotMatch(listed, /CONVEX_/);
  await project.ok(["env", "remove", "SECRET"]);
  assert.match((await project.run(["env", "get", "SECRET"])).stderr, /not found/);
  assert.match(await project.fails(["env", "set", "CONVEX_SITE_URL", "x"]), /set by the deployment/);
  assert.match(await project.fails(["env", "set", "not-a-name", "x"]), /letters, digits and underscores/);
});

test("run: queries, mutations, internal functions, as somebody", async () => {
  assert.deepEqual(JSON.parse((await project.ok(["run", "notes:list"])).stdout), ["first"]);
  await project.ok(["run", "notes:add", '{author: "bob", body: "second"}']);
  assert.deepEqual(await bodies(), ["first", "second"]);
  assert.equal((await project.ok(["run", "notes:whoami", "--identity", '{name: "Grace"}'])).stdout, '"Grace"');
  await project.ok(["run", "notes:clear"]);
  assert.deepEqual(await bodies(), []);
  assert.match(await project.fails(["run", "notes:fails"]), /as it should/);
  const unknown = await project.fails(["run", "notes:nothing"]);
  assert.match(unknown, /Could not find function/);
  assert.match(unknown, /notes:add|notes:.*add/, "it lists what there is");
  assert.match(await project.fails(["run", "notes:list", "{author: 5}"]), /ArgumentValidationError/);
});

test("run --inline-query: an expression, statements, a module; it writes nothing", async () => {
  await project.ok(["run", "notes:clear"]);
  await client.mutation("notes:add", { author: "ada", body: "inline" });
  const inline = (query) => project.ok(["run", "--inline-query", query]);
  const expression = 'await ctx.db.query("notes").withIndex("by_author", (q) => q.eq("author", "ada")).collect()';
  assert.match((await inline(expression)).stdout, /"inline"/);
  const statements = 'const notes = await ctx.db.query("notes").collect(); console.log(notes.length); return notes.length;';
  const counted = await inline(statements);
  assert.equal(counted.stdout, "1");
  assert.match(counted.stderr, /\[LOG\] 1/);
  assert.match((await inline('export default query({ handler: async () => 6 * 7 });')).stdout, /42/);
  const said = await project.fails(["run", "--inline-query", 'await ctx.db.insert("notes", { author: "x", body: "y" })']);
  assert.match(said, /insert is not a function|Writes are not allowed/);
  await project.ok(["run", "notes:clear"]);
});

test("run --watch follows a query in a terminal", async () => {
  const terminal = project.terminal(["run", "--watch", "notes:list"]);
  await terminal.shows(/Watching query notes:list/);
  await terminal.shows(/\[\]/);
  const mark = terminal.mark;
  await client.mutation("notes:add", { author: "ada", body: "watched" });
  await terminal.shows(/watched/, mark);
  await terminal.interrupt();
});

test("data: tables and documents", async () => {
  assert.match((await project.ok(["data"])).stdout, /^notes$/m);
  const table = (await project.ok(["data", "notes"])).stdout;
  assert.match(table, /_id.*_creationTime.*author.*body/);
  assert.match(table, /"ada".*"watched"/);
  await db.query("INSERT INTO notes (author, body) SELECT 'bulk', 'n' || n FROM generate_series(1, 2500) AS n");
  const lines = (await project.ok(["data", "notes", "--limit", "2400", "--order", "asc", "--format", "jsonl"])).stdout;
  assert.equal(lines.split("\n").length, 2400);
  assert.match((await project.ok(["data", "nothing"])).stderr, /no documents in this table/);
  await db.query("DELETE FROM notes WHERE author = 'bulk'");
});

test("logs: history, and what comes", async () => {
  await client.query("notes:fails").catch(() => {});
  const terminal = project.terminal(["logs", "--history", "100"]);
  await terminal.shows(/\[CONVEX M\(notes:add\)\] \[LOG\] 'adding' 'watched'/);
  await terminal.shows(/\[CONVEX Q\(notes:fails\)\].*as it should/);
  const mark = terminal.mark;
  await client.mutation("notes:add", { author: "ada", body: "tailed" });
  await terminal.shows(/'adding' 'tailed'/, mark);
  await terminal.interrupt();
});

test("function-spec", async () => {
  const { functions, url } = JSON.parse((await project.ok(["function-spec"])).stdout);
  assert.equal(url, server.url);
  const add = functions.find((each) => each.identifier === "notes.js:add");
  assert.equal(add.functionType, "Mutation");
  assert.deepEqual(add.visibility, { kind: "public" });
  assert.equal(add.args.value.author.fieldType.type, "string");
});

test("export and import: a zip goes out and comes in again as it was", async () => {
  await db.query("DELETE FROM notes");
  await db.query(
    `INSERT INTO notes (author, body, stars, big) VALUES ('ada', 'a', 1, 9007199254740993), ('bob', 'b', 2.5, NULL)`,
  );
  const before = (await db.query('SELECT _id, "_creationTime", author, body, stars, big FROM notes ORDER BY _id')).rows;
  const zip = project.path("out.zip");
  await project.ok(["export", "--path", zip]);
  assert.equal((await readFile(zip)).subarray(0, 2).toString(), "PK");
  await project.ok(["export", "--path", project.dir, "--include-file-storage"]);
  assert.ok((await readdir(project.dir)).some((name) => /^snapshot_\d+\.zip$/.test(name)));

  assert.match(await project.fails(["import", zip]), /has documents already/);
  await db.query("UPDATE notes SET body = 'changed'");
  const { stderr } = await project.ok(["import", "--replace", "-y", zip]);
  assert.match(stderr, /Added 2 documents/);
  const after = (await db.query('SELECT _id, "_creationTime", author, body, stars, big FROM notes ORDER BY _id')).rows;
  assert.deepEqual(after, before);
});

test("import: lines, an array and CSV; what does not fit changes nothing", async () => {
  await db.query("DELETE FROM notes");
  await project.write("notes.jsonl", '{"author": "ada", "body": "line", "big": 7}\n{"author": "bob", "body": "two"}\n');
  await project.ok(["import", "--table", "notes", "notes.jsonl"]);
  assert.deepEqual(await bodies(), ["line", "two"]);
  await project.write("notes.json", '[{"author": "ada", "body": "array"}]');
  await project.ok(["import", "--table", "notes", "--append", "notes.json"]);
  await project.write("people.csv", "name,age\nAda,36\nBob,x\n");
  await project.ok(["import", "--table", "people", "people.csv"]);
  const people = JSON.parse((await project.ok(["data", "people", "--order", "asc", "--format", "jsonArray"])).stdout);
  assert.deepEqual(people.map(({ name, age }) => [name, age]), [["Ada", 36], ["Bob", "x"]]);

  await project.write("wrong.jsonl", '{"author": "ada", "body": "good"}\n{"author": "ada"}\n');
  const said = await project.fails(["import", "--table", "notes", "--append", "wrong.jsonl"]);
  assert.match(said, /does not match the schema/);
  assert.match(said, /body/);
  assert.deepEqual(await bodies(), ["array", "line", "two"]);
});

test("in a terminal, replacing documents asks first", async () => {
  const terminal = project.terminal(["import", "--table", "notes", "--replace", "notes.json"]);
  await terminal.shows(/Perform import\?/);
  terminal.type("n\r");
  assert.notEqual(await terminal.ended(), 0);
  assert.deepEqual(await bodies(), ["array", "line", "two"]);
});

test("nobody without the key gets any of it", async () => {
  const system = await client.query("_system/cli/tables", { paginationOpts: { numItems: 1, cursor: null } })
    .then(() => "answered", (error) => error.message);
  assert.match(system, /Could not find public function/);
  for (const [method, path] of [
    ["POST", "get_config_hashes"], ["POST", "deploy2/wait_for_schema"], ["POST", "update_environment_variables"],
    ["GET", "stream_function_logs?cursor=0"], ["GET", "export/zip/1"], ["POST", "perform_import"],
    ["POST", "import/start_upload"], ["GET", "v1/get_canonical_urls"],
  ]) {
    const body = method === "POST" ? '{"schemaChange":{},"changes":[],"importId":"x"}' : undefined;
    const answer = await fetch(`${server.url}/api/${path}`, { method, body });
    assert.ok([401, 403].includes(answer.status), `${path}: ${answer.status}`);
    assert.equal((await answer.json()).code, "BadAdminKey");
  }
  const wrong = await project.fails(["data"], { env: { CONVEX_SELF_HOSTED_ADMIN_KEY: "app|wrong" } });
  assert.match(wrong, /admin key/i);
});

test("a relay that was not given the owner's role serves, and deploys nothing", async () => {
  const port = await freePort();
  const { PG_LIVE_RELAY_URL: url, CONVEX_SELF_HOSTED_ADMIN_KEY: key } = server.env;
  const relay = spawn(PG_LIVE, ["serve", "--url", url, "--listen", `127.0.0.1:${port}`, "--admin-key", key], {
    stdio: "ignore",
    env: { PATH: process.env.PATH },
  });
  try {
    const own = `http://127.0.0.1:${port}`;
    await until("the relay answers", async () => (await fetch(`${own}/version`)).ok, { timeout: 60_000 });
    const said = await project.fails(["deploy", "--typecheck", "disable"], { env: { CONVEX_SELF_HOSTED_URL: own } });
    assert.match(said, /This relay may not deploy: start `pg-live serve` with --deploy-url/);
    const listed = await project.ok(["run", "notes:list"], { env: { CONVEX_SELF_HOSTED_URL: own } });
    assert.match(listed.stdout, /array/);
  } finally {
    relay.kill();
  }
});
