// Writes that another session, or another life of the server, brings to an end; and writers that come late.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Cluster } from "./cluster.mjs";
import { Watcher } from "./watcher.mjs";

const LATE = "late_writer";
let cluster, client, watcher;

before(async () => {
  await promisify(execFile)("cc", [
    "-O1", "-fPIC", "-shared", `-I${process.env.CAPTURE_HEADERS}`,
    "-o", join(process.env.CAPTURE_WORK, `${LATE}.so`), new URL(`${LATE}.c`, import.meta.url).pathname,
  ]);
  cluster = await Cluster.start("prepared", { shared_preload_libraries: libraries(LATE, "pg_live") });
  await connect();
  await client.query("CREATE EXTENSION pg_live");
  await client.query("CREATE TABLE t (id int PRIMARY KEY, v text)");
  await client.query("CREATE TABLE u (id int PRIMARY KEY)");
  await client.query("SELECT live.capture_table(rel) FROM unnest('{t,u}'::regclass[]) AS rel");
  watcher = await Watcher.attach(await cluster.connect());
});

after(() => cluster?.stop());

function libraries(...names) {
  const paths = names.map((name) => (name === LATE ? join(process.env.CAPTURE_WORK, LATE) : name));
  return `'${paths.join(", ")}'`;
}

async function connect() {
  client = await cluster.connect();
}

async function restart(mode) {
  await cluster.restart(mode);
  await connect();
  watcher = await Watcher.attach(await cluster.connect());
}

async function prepare(statement, name) {
  await client.query("BEGIN");
  await client.query(statement);
  await client.query(`PREPARE TRANSACTION '${name}'`);
  watcher.prepared = 1;
}

/** COMMIT or ROLLBACK PREPARED by another session. */
async function end(how, name) {
  const other = await cluster.connect();
  await other.query(`${how} PREPARED '${name}'`);
  await other.end();
  watcher.prepared = 0;
}

test("COMMIT PREPARED and ROLLBACK PREPARED by another session", async () => {
  await watcher.watch("t", "u");
  await prepare("INSERT INTO t VALUES (1, 'a')", "one");
  assert.equal(await watcher.isTold("t"), false);
  await end("COMMIT", "one");
  await watcher.told("t");
  assert.equal(await watcher.isTold("u"), false);
  await watcher.watch("t", "u");
  await prepare("INSERT INTO t VALUES (2, 'b')", "two");
  await end("ROLLBACK", "two");
  assert.equal(await watcher.isTold("t"), false);
});

for (const [mode, id] of [["fast", 10], ["immediate", 20]]) {
  for (const [how, told] of [["COMMIT", true], ["ROLLBACK", false]]) {
    test(`prepared, restarted (${mode}), ${how}: ${told ? "whoever registered meanwhile is told" : "nobody is told"}`, async () => {
      const row = told ? id : id + 1;
      await prepare(`INSERT INTO t VALUES (${row}, 'c')`, "three");
      await restart(mode);
      watcher.prepared = 1;
      await watcher.watch("t");
      await end(how, "three");
      assert.equal(await watcher.isTold("t"), told);
      const { rows } = await client.query("SELECT count(*)::int AS n FROM t WHERE id = $1", [row]);
      assert.equal(rows[0].n, told ? 1 : 0);
    });
  }
}

test("a TRUNCATE that was prepared", async () => {
  await client.query("INSERT INTO u VALUES (1)");
  await watcher.watch("u");
  await prepare("TRUNCATE u", "five");
  assert.equal(await watcher.isTold("u"), false);
  await end("COMMIT", "five");
  await watcher.told("u");
});

for (const [order, names] of [["before", [LATE, "pg_live"]], ["after", ["pg_live", LATE]]]) {
  test(`another library that was loaded ${order} pg_live writes while the transaction commits`, async () => {
    await cluster.set({ shared_preload_libraries: libraries(...names) });
    await restart("fast");
    const id = order === "before" ? 100 : 200;
    await watcher.watch("t", "u");
    await client.query("BEGIN");
    await client.query(`SET LOCAL late_writer.statement = 'INSERT INTO t VALUES (${id}, ''late'')'`);
    await client.query("COMMIT");
    await watcher.told("t");
    await watcher.watch("t", "u");
    // Also where the transaction had captured something before.
    await client.query("BEGIN");
    await client.query(`INSERT INTO u VALUES (${id})`);
    await client.query(`SET LOCAL late_writer.statement = 'UPDATE t SET v = ''later'' WHERE id = ${id}'`);
    await client.query("COMMIT");
    await watcher.told("u");
    await watcher.told("t");
  });
}

// Writers of a table that nobody watches publish less and leave the worker asleep; nothing may be missed for it.
for (const when of ["before the registration", "after it"]) {
  test(`a first live query of a table, and a writer that its snapshot does not see, committed ${when}`, async () => {
    const table = `unwatched_${when.slice(0, 1)}`;
    await client.query(`CREATE TABLE ${table} (id int)`);
    await client.query(`SELECT live.capture_table('${table}')`);
    await watcher.settle();
    await client.query("BEGIN");
    await client.query(`INSERT INTO ${table} VALUES (1)`);
    const reader = watcher.client;
    await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const { rows: seen } = await reader.query(`SELECT count(*)::int AS n FROM ${table}`);
    assert.equal(seen[0].n, 0);
    if (when === "before the registration") await client.query("COMMIT");
    await watcher.watchHere(table);
    await reader.query("COMMIT");
    if (when === "after it") await client.query("COMMIT");
    await watcher.told(table);
  });
}

test("pg_restore --disable-triggers", async () => {
  const dump = join(cluster.socket, "t.dump");
  const where = ["-h", cluster.socket, "-U", "postgres"];
  await cluster.program("pg_dump", [...where, "-Fc", "-t", "t", "-f", dump, "postgres"]);
  await client.query("DELETE FROM t");
  await watcher.watch("t");
  await cluster.program("pg_restore", [...where, "--data-only", "--disable-triggers", "-d", "postgres", dump]);
  await watcher.told("t");
  const { rows } = await client.query("SELECT complete FROM live.captured WHERE relation = 't'::regclass");
  assert.equal(rows[0].complete, true);
});

test("no process has crashed", async () => {
  await cluster.assertHealthy();
});
