// The real `npx convex` of npm against a relay: pushes, and what can go wrong in one.
import assert from "node:assert/strict";
import { createServer, connect } from "node:net";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { Project } from "./cli.mjs";

/** @type {Server} */ let server;
/** @type {Project} */ let project;
let db, root;

before(async () => {
  server = await Server.start();
  db = server.sql();
  root = await mkdtemp(join(tmpdir(), "pg-live-cli-"));
  const { CONVEX_SELF_HOSTED_URL: url, CONVEX_SELF_HOSTED_ADMIN_KEY: key } = server.env;
  project = await Project.create(root, { url, key });
});

after(async () => {
  await server?.stop();
  if (root) await rm(root, { recursive: true, force: true });
});

async function call(kind, path, args = {}) {
  const response = await fetch(`${server.url}/api/${kind}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ path, args }),
  });
  return await response.json();
}

/** Changes what the query says if no variable is set. */
async function setGreeting(text) {
  const source = await readFile(project.path("convex/notes.ts"), "utf8");
  await project.write("convex/notes.ts", source.replace(/\?\? ".*"/, `?? "${text}"`));
}

const active = async () => (await db.query("SELECT deployment::int AS n FROM live.active")).rows[0].n;

async function value(path, args) {
  const answer = await call("query", path, args);
  assert.equal(answer.status, "success", JSON.stringify(answer));
  return answer.value;
}

test("codegen writes types and changes nothing", async () => {
  const before = await active();
  await project.ok(["codegen", "--typecheck", "disable"]);
  assert.match(await readFile(project.path("convex/_generated/api.d.ts"), "utf8"), /notes/);
  assert.match(await readFile(project.path("convex/_generated/dataModel.d.ts"), "utf8"), /DataModel/);
  assert.equal(await active(), before);
});

test("a dry run changes nothing", async () => {
  const before = await active();
  const tables = (await db.query("SELECT name FROM live.tables ORDER BY 1")).rows;
  const { stderr } = await project.ok(["deploy", "--dry-run", "--typecheck", "disable"]);
  assert.match(stderr, /Would have deployed/);
  assert.equal(await active(), before);
  assert.deepEqual((await db.query("SELECT name FROM live.tables ORDER BY 1")).rows, tables);
});

test("deploy type checks, makes tables and indexes, and switches", async () => {
  const { stderr } = await project.ok(["deploy", "--message", "the first one"]);
  assert.match(stderr, /\[\+\] notes\.by_author/);
  assert.match(stderr, /Deployed Convex functions/);
  const { rows } = await db.query("SELECT message FROM live.deployments WHERE id = $1", [await active()]);
  assert.equal(rows[0].message, "the first one");
  assert.equal((await call("mutation", "notes:add", { author: "ada", body: "one" })).status, "success");
  assert.deepEqual(await value("notes:list", { author: "ada" }), ["one"]);
});

test("modules that did not change are not stored again, and nothing is switched", async () => {
  const before = await active();
  const sources = (await db.query("SELECT count(*)::int AS n FROM live.sources")).rows[0].n;
  await project.ok(["deploy", "--typecheck", "disable"]);
  assert.equal((await db.query("SELECT count(*)::int AS n FROM live.sources")).rows[0].n, sources);
  assert.equal(await active(), before);
});

test("what pg_live cannot run yet is pushed, and says so when it is called", async () => {
  const node = await call("action", "machine:hash");
  assert.equal(node.status, "error");
  assert.match(node.errorMessage, /not available yet/);
  for (const [path, args] of [["later:upload", {}], ["later:remind", { ms: 5 }]]) {
    const answer = await call("mutation", path, args);
    assert.equal(answer.status, "error");
    assert.match(answer.errorMessage, /not available in pg_live yet/);
  }
  const said = await project.fails(["run", "machine:hash"]);
  assert.match(said, /use node/);
});

test("a type error stops the push", async () => {
  const before = await active();
  await project.edit("convex/notes.ts", '?? "unset"', '?? ("unset" satisfies number)');
  const said = await project.fails(["deploy"]);
  assert.match(said, /convex\/notes\.ts/);
  assert.match(said, /TS1360|satisfy|satisfies/);
  assert.equal(await active(), before);
  await project.edit("convex/notes.ts", '?? ("unset" satisfies number)', '?? "unset"');
});

test("a module that throws while it is imported stops the push", async () => {
  const before = await active();
  await project.write("convex/broken.ts", 'throw new Error("not today");\nexport const x = 1;\n');
  const said = await project.fails(["deploy", "--typecheck", "disable"]);
  assert.match(said, /not today/);
  assert.match(said, /broken\.ts:1/);
  assert.equal(await active(), before);
  await rm(project.path("convex/broken.ts"));
});

test("documents that do not fit the new schema stop the push", async () => {
  const before = await active();
  await project.edit("convex/schema.ts", "body: v.string()", "body: v.number()");
  const said = await project.fails(["deploy", "--typecheck", "disable"]);
  assert.match(said, /Schema validation failed/);
  assert.match(said, /"notes"/);
  assert.match(said, /v\.float64\(\)|does not match/);
  assert.equal(await active(), before);
  assert.deepEqual(await value("notes:list"), ["one"], "what ran before runs on");
  const dry = await project.fails(["deploy", "--dry-run", "--typecheck", "disable"]);
  assert.match(dry, /Schema validation failed/);
  await project.edit("convex/schema.ts", "body: v.number()", "body: v.string()");
});

test("an environment variable of auth.config that is not set stops the push", async () => {
  await project.write(
    "convex/auth.config.ts",
    'export default { providers: [{ domain: process.env.ISSUER!, applicationID: "app" }] };\n',
  );
  const said = await project.fails(["deploy", "--typecheck", "disable"]);
  assert.match(said, /Environment variable ISSUER is used in auth config/);
  await project.ok(["env", "set", "ISSUER", "https://issuer.example"]);
  await project.ok(["deploy", "--typecheck", "disable"]);
  const { rows } = await db.query("SELECT live.auth_config() AS auth");
  assert.equal(rows[0].auth.providers[0].domain, "https://issuer.example");
  await rm(project.path("convex/auth.config.ts"));
  await project.ok(["env", "remove", "ISSUER"]);
});

test("a wrong admin key is refused at once", async () => {
  const said = await project.fails(["deploy", "--typecheck", "disable"], {
    env: { CONVEX_SELF_HOSTED_ADMIN_KEY: "app|wrong" },
  });
  assert.match(said, /BadAdminKey/);
  assert.match(said, /admin key is not valid/);
});

/** A proxy to the relay, which cuts the connection of every request to `path` as often as it is told. */
async function cuttingProxy(path, times) {
  const target = new URL(server.url);
  const proxy = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
    client.on("data", (bytes) => {
      if (proxy.left > 0 && bytes.includes(`POST ${path} `)) {
        proxy.left -= 1;
        proxy.cuts += 1;
        client.destroy();
        upstream.destroy();
        return;
      }
      upstream.write(bytes);
    });
    client.on("end", () => upstream.end());
    upstream.pipe(client);
  });
  proxy.left = times;
  proxy.cuts = 0;
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  proxy.url = `http://127.0.0.1:${proxy.address().port}`;
  return proxy;
}

test("a network that is cut in the middle of a push: it is tried again", async () => {
  const proxy = await cuttingProxy("/api/deploy2/finish_push", 1);
  await setGreeting("not set");
  await project.ok(["deploy", "--typecheck", "disable"], { env: { CONVEX_SELF_HOSTED_URL: proxy.url } });
  assert.equal(proxy.cuts, 1);
  assert.equal(await value("notes:greeting"), "not set");
  proxy.close();
});

test("a command line that is killed in the middle of a push leaves what ran before", async () => {
  const before = await active();
  const proxy = await cuttingProxy("/api/deploy2/finish_push", Infinity);
  await setGreeting("never");
  const terminal = project.terminal(["deploy", "--typecheck", "disable", "--url", proxy.url,
    "--admin-key", server.env.CONVEX_SELF_HOSTED_ADMIN_KEY]);
  await until("the push is cut", () => proxy.cuts > 0, { timeout: 120_000 });
  terminal.kill();
  await terminal.ended();
  proxy.close();
  assert.equal(await active(), before);
  assert.equal(await value("notes:greeting"), "not set");
  await project.ok(["deploy", "--typecheck", "disable"]);
  assert.equal(await value("notes:greeting"), "never");
});

test("an index on a table with documents is built, and dropped again", async () => {
  await db.query(
    `INSERT INTO notes (author, body) SELECT 'bulk', repeat('x', 200) || n FROM generate_series(1, 20000) AS n`,
  );
  await project.edit("convex/schema.ts", '["author"])', '["author"]).index("by_body", ["body"])');
  assert.match((await project.ok(["deploy", "--typecheck", "disable"])).stderr, /\[\+\] notes\.by_body/);
  await project.edit("convex/schema.ts", '["author"]).index("by_body", ["body"])', '["author"])');
  assert.match((await project.ok(["deploy", "--typecheck", "disable"])).stderr, /\[-\] notes\.by_body/);
  await db.query("DELETE FROM notes WHERE author = 'bulk'");
});

test("dev in a terminal: pushes, follows files, shows logs, waits for documents", async () => {
  const terminal = project.terminal(["dev", "--typecheck", "disable"]);
  await terminal.shows(/Convex functions ready!/);
  assert.match(await readFile(project.path(".env.local"), "utf8"), /CONVEX_URL=/);

  let mark = terminal.mark;
  await setGreeting("watched");
  await terminal.shows(/Convex functions ready!/, mark);
  assert.equal(await value("notes:greeting"), "watched");

  await call("mutation", "notes:add", { author: "ada", body: "logged" });
  await terminal.shows(/\[CONVEX M\(notes:add\)\].*adding.*logged/, mark);

  // Documents that do not fit: it waits until they are gone.
  mark = terminal.mark;
  await project.edit("convex/schema.ts", "body: v.string()", 'body: v.literal("two")');
  await terminal.shows(/Schema validation failed/, mark);
  mark = terminal.mark;
  // It begins to look at the table some time after it has said so.
  const update = () => db.query("UPDATE notes SET body = 'two', author = 'ada' || random()").catch(() => {});
  const updates = setInterval(update, 1000);
  try {
    await terminal.shows(/Convex functions ready!/, mark);
  } finally {
    clearInterval(updates);
  }

  assert.equal(typeof (await terminal.interrupt()), "number");
});

test("dev in a terminal waits for a variable that is missing", async () => {
  await project.write(
    "convex/auth.config.ts",
    'export default { providers: [{ domain: process.env.ISSUER!, applicationID: "app" }] };\n',
  );
  const terminal = project.terminal(["dev", "--typecheck", "disable", "--tail-logs", "disable"]);
  await terminal.shows(/Environment variable ISSUER/);
  const mark = terminal.mark;
  // It begins to look at variables some time after it has said so, and what is there by then is no change. Once it
  // pushes again variables must stay.
  let issuer = 0;
  const set = () => {
    if (!/Preparing|ready/.test(terminal.text.slice(mark))) {
      issuer += 1;
      db.query("SELECT live.set_environment('ISSUER', $1)", [`https://issuer${issuer}.example`]).catch(() => {});
    }
  };
  const changes = setInterval(set, 3000);
  try {
    await terminal.shows(/Convex functions ready!/, mark);
  } finally {
    clearInterval(changes);
  }
  const { rows } = await db.query("SELECT live.auth_config() AS auth");
  assert.match(rows[0].auth.providers[0].domain, /^https:\/\/issuer\d+\.example$/);
  assert.equal(typeof (await terminal.interrupt()), "number");
  await rm(project.path("convex/auth.config.ts"));
  await project.ok(["env", "remove", "ISSUER"]);
});

test("dev --once for scripts", async () => {
  const { stderr } = await project.ok(["dev", "--once", "--typecheck", "disable", "--tail-logs", "disable"]);
  assert.match(stderr, /Convex functions ready!/);
  const said = await project.ok(["dev", "--once", "--typecheck", "disable", "--run", "notes:greeting"]);
  assert.match(said.stdout, /watched/);
});
