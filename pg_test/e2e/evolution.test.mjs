// The schema changes again and again while clients and SQL read and write: no call fails, nothing is lost.
// A deploy that is killed in the middle is taken over by the next.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { LiveClient } from "../lib/clients.mjs";
import { killAndWait } from "../lib/processes.mjs";
import { copyApp, PG_LIVE, Server } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

const APP = join(fileURLToPath(new URL(".", import.meta.url)), "evolution");

/** Enough that the table is not small for a deploy. */
const ROWS = 10_000;

/** @type {Server} */ let server;
let db;
/** A copy of the app that `pg-live dev` does not watch. */
let staging;

before(async () => {
  server = await Server.start({ source: APP });
  db = server.sql();
  staging = join(server.root, "staging");
  await copyApp(APP, staging);
  await db.query(`INSERT INTO items (body, n) SELECT 'row ' || i, i FROM generate_series(1, ${ROWS}) AS i`);
});

after(async () => {
  await server?.stop();
});

/** A schema of `items` with more fields, more indexes and more tables. */
async function writeSchema({ fields = "", indexes = "", tables = "", options = "" } = {}) {
  await writeFile(join(staging, "convex/schema.ts"), `import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  items: defineTable({ body: v.string(), n: v.number(), ${fields} }).index("by_n", ["n"])${indexes},
  ${tables}
}, {${options}});
`);
}

async function deploys(schema) {
  await writeSchema(schema);
  const { code, stdout, stderr } = await server.deploy(staging);
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  assert.deepEqual(await pending(), [], "nothing is left to do");
}

async function fails(schema, pattern) {
  await writeSchema(schema);
  const before = await visible();
  const { code, stdout, stderr } = await server.deploy(staging);
  assert.notEqual(code, 0, stdout);
  assert.match(`${stdout}\n${stderr}`, pattern);
  assert.deepEqual(await visible(), before, "the failed deploy changed nothing");
}

const rowsOf = async (sql) => (await db.query(sql)).rows;
const pending = () => rowsOf('SELECT "table", index, state, error FROM live.pending_indexes');
/** What a user can see of a table's definition. */
const visible = () => rowsOf(`
  SELECT attname AS name, format_type(atttypid, atttypmod) AS definition FROM pg_attribute
  WHERE attrelid = 'items'::regclass AND attnum > 0 AND NOT attisdropped
  UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'items'::regclass
  UNION ALL SELECT indexrelid::regclass::name, indisvalid::text FROM pg_index WHERE indrelid = 'items'::regclass
  ORDER BY 1, 2`);

/** Readers and writers that go on until stopped, and all their failures. */
class Load {
  failures = [];
  calls = 0;
  added = 0;
  #next = ROWS;
  #stopped = false;

  constructor() {
    this.clients = [new LiveClient(server.url), new LiveClient(server.url)];
    const [one, two] = this.clients;
    this.live = one.subscribe("items:last", {});
    this.loops = [
      this.#loop("add", async () => {
        this.#next += 1;
        await one.mutation("items:add", { body: "client", n: this.#next });
        this.added += 1;
      }),
      this.#loop("bump", () => two.mutation("items:bump", { n: 1 + (this.calls % ROWS) })),
      this.#loop("last", () => two.query("items:last", {})),
      this.#loop("insert", async () => {
        await db.query("INSERT INTO items (body, n) VALUES ('sql', 0)");
        this.added += 1;
      }),
      this.#loop("update", () => db.query("UPDATE items SET body = 'row' WHERE n = $1", [1 + (this.calls % 100)])),
      this.#loop("select", () => db.query("SELECT live.query('items:last'), (SELECT count(*) FROM items WHERE n < 100)")),
    ];
  }

  async #loop(name, call) {
    while (!this.#stopped) {
      await call().catch((error) => this.failures.push(`${name}: ${error.message}`));
      this.calls += 1;
      await sleep(2);
    }
  }

  async stop() {
    this.#stopped = true;
    await Promise.all(this.loops);
    const newest = String(this.#next);
    await this.live.becomes(`has ${newest}`, ([first]) => String(first) === newest);
    this.failures.push(...this.live.errors.map((error) => `live: ${error.message}`));
    await Promise.all(this.clients.map((client) => client.close()));
  }
}

test("schemas change under load: no call fails, all data is kept", async () => {
  const load = new Load();
  const optional = (type) => ({ fields: `tag: v.optional(${type}),`, indexes: '.index("by_tag", ["tag", "n"])' });
  const steps = [
    ["a field and an index on it", () => deploys(optional("v.string()"))],
    ["a wider type", () => deploys(optional("v.union(v.string(), v.number(), v.null())"))],
    ["a narrower type", () => deploys(optional("v.union(v.string(), v.null())"))],
    ["a type that documents do not have", () => fails({ fields: "tag: v.optional(v.string()), more: v.boolean()," }, /Document with ID "\w+" in table "items" does not match the schema: .*`more`/)],
    ["a new table", () => deploys({ ...optional("v.string()"), tables: 'others: defineTable({ item: v.id("items") }).index("by_item", ["item"]),' })],
    ["a table, a field and an index that go", () => deploys()],
    ["a staged index", () => deploys({ indexes: '.index("by_body", { fields: ["body"], staged: true })' })],
    ["the index enabled", () => deploys({ indexes: '.index("by_body", ["body"])' })],
    ["no validation", () => deploys({ options: "schemaValidation: false" })],
    ["validation again", () => deploys({ fields: "tag: v.optional(v.int64())," })],
    ["as at first", () => deploys()],
  ];
  try {
    for (const [name, step] of steps) {
      const before = load.calls;
      await step().catch((error) => {
        error.message = `${name}: ${error.message}`;
        throw error;
      });
      assert.ok(load.calls > before, `${name}: calls were answered meanwhile`);
    }
  } finally {
    await load.stop();
  }
  assert.deepEqual(load.failures, []);
  const [{ count }] = await rowsOf("SELECT count(*)::int FROM items");
  assert.equal(count, ROWS + load.added);
});

/** A deploy that hangs while it builds an index, because a transaction is open; `end` lets it go on. */
async function hangingDeploy(index) {
  await writeSchema({ indexes: `.index("${index}", ["body", "n"])` });
  const blocker = await db.connect();
  await blocker.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM items LIMIT 1");
  const deploy = spawn(PG_LIVE, ["deploy", staging, "--url", server.env.DATABASE_URL], { stdio: "ignore" });
  const ended = new Promise((resolve) => deploy.on("exit", resolve));
  await until("the index is being built", async () => (await pending()).some(({ state }) => state === "building"));
  return {
    pid: deploy.pid,
    end: async () => {
      await blocker.query("ROLLBACK").catch(() => {});
      blocker.release(true);
      await ended;
    },
  };
}

test("kill -9 of pg-live deploy: the next deploy finishes the work", async () => {
  const hanging = await hangingDeploy("by_killed");
  await killAndWait(hanging.pid, "SIGKILL");
  await hanging.end();
  await until("the server has noticed", async () => (await pending()).every(({ state }) => state !== "building"));
  assert.notDeepEqual(await pending(), [], "the index is listed");
  await deploys({ indexes: '.index("by_killed", ["body", "n"])' });
  const [{ valid }] = await rowsOf("SELECT bool_and(indisvalid) AS valid FROM pg_index WHERE indrelid = 'items'::regclass");
  assert.equal(valid, true);
});

test("kill -9 of the backend that builds an index: the next deploy builds it anew", async () => {
  const hanging = await hangingDeploy("by_crashed");
  const [{ pid }] = await server.sql({ admin: true }).query("SELECT pid FROM pg_stat_progress_create_index").then(({ rows }) => rows);
  await killAndWait(pid, "SIGKILL");
  await hanging.end();
  await server.whenDatabaseIsUp();
  assert.ok((await pending()).some(({ state }) => state !== "built"), "the index is listed as not built");
  await deploys({ indexes: '.index("by_crashed", ["body", "n"])' });
  const indexes = await rowsOf("SELECT indexrelid::regclass::text AS name, indisvalid FROM pg_index WHERE indrelid = 'items'::regclass");
  assert.ok(indexes.every(({ indisvalid }) => indisvalid), JSON.stringify(indexes));
  assert.equal(indexes.filter(({ name }) => /by_killed|by_crashed/.test(name)).length, 1, "what was given up is gone");
});
