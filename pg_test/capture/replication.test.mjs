// What a subscriber's apply and table sync write is told to the live queries of the subscriber.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../lib/wait.mjs";
import { Cluster } from "./cluster.mjs";
import { Watcher } from "./watcher.mjs";

const TABLES = `
  CREATE TABLE plain (id int PRIMARY KEY, v text);
  CREATE TABLE tree (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
  CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1);
  CREATE TABLE tree_2 PARTITION OF tree FOR VALUES IN (2);
  CREATE TABLE filtered (id int PRIMARY KEY, k int);
  ALTER TABLE filtered REPLICA IDENTITY FULL;
  CREATE TABLE marker (n int PRIMARY KEY);`;
const NAMES = ["plain", "tree", "tree_1", "tree_2", "filtered", "marker"];

let publisher, subscriber, source, target, watcher;
let marks = 0;

before(async () => {
  [publisher, subscriber] = await Promise.all([
    Cluster.start("publisher", { shared_preload_libraries: "''" }),
    Cluster.start("subscriber"),
  ]);
  source = await publisher.connect();
  target = await subscriber.connect();
  await source.query(TABLES);
  await source.query(`
    INSERT INTO plain SELECT n, 'row ' || n FROM generate_series(1, 1000) AS n;
    INSERT INTO tree SELECT n, 1 + n % 2 FROM generate_series(1, 100) AS n;
    INSERT INTO filtered SELECT n, n FROM generate_series(1, 20) AS n;
    CREATE PUBLICATION all_of_it FOR TABLE plain, tree, filtered WHERE (k > 10), marker`);
  await target.query("CREATE EXTENSION pg_live");
  await target.query(TABLES);
  for (const table of ["plain", "tree", "filtered", "marker"]) {
    await target.query("SELECT live.capture_table($1)", [table]);
  }
  watcher = await Watcher.attach(await subscriber.connect());
});

after(async () => {
  await target?.query("ALTER SUBSCRIPTION sub DISABLE").catch(() => {});
  await subscriber?.stop();
  await publisher?.stop();
});

/** Waits until the subscriber has applied all that the publisher has committed by now. */
async function applied() {
  marks += 1;
  await source.query("INSERT INTO marker VALUES ($1)", [marks]);
  await watcher.told("marker");
}

async function tells(statements, tables) {
  await watcher.watch(...NAMES);
  await source.query(statements);
  await applied();
  const told = [];
  for (const name of NAMES.filter((each) => each !== "marker")) {
    if (await watcher.isTold(name)) told.push(name);
  }
  assert.deepEqual(told, tables);
}

test("the first copy of each table", async () => {
  await watcher.watch(...NAMES);
  await target.query(`CREATE SUBSCRIPTION sub CONNECTION 'host=${publisher.socket} user=postgres dbname=postgres' PUBLICATION all_of_it`);
  for (const table of ["plain", "tree", "tree_1", "tree_2", "filtered"]) {
    await watcher.told(table);
  }
  await applied();
  const { rows } = await target.query("SELECT (SELECT count(*)::int FROM plain) AS plain, (SELECT count(*)::int FROM filtered) AS filtered");
  assert.deepEqual(rows[0], { plain: 1000, filtered: 10 });
});

test("INSERT, UPDATE and DELETE", async () => {
  await tells("INSERT INTO plain VALUES (2000, 'new')", ["plain"]);
  await tells("UPDATE plain SET v = 'changed' WHERE id = 2000", ["plain"]);
  await tells("DELETE FROM plain WHERE id = 2000", ["plain"]);
});

test("what the publisher rolls back, or writes to nobody, is silent", async () => {
  await tells("BEGIN; INSERT INTO plain VALUES (2000, 'never'); ROLLBACK", []);
  await tells("UPDATE plain SET v = 'x' WHERE false", []);
});

test("partitions, and a row that moves between them", async () => {
  await tells("INSERT INTO tree VALUES (500, 1)", ["tree", "tree_1"]);
  await tells("UPDATE tree SET k = 2 WHERE id = 500", ["tree", "tree_1", "tree_2"]);
});

test("a row filter: only rows that come, go or stay are told", async () => {
  await tells("INSERT INTO filtered VALUES (100, 3)", []);
  await tells("UPDATE filtered SET k = 30 WHERE id = 100", ["filtered"]);
  await tells("UPDATE filtered SET k = 31 WHERE id = 100", ["filtered"]);
  await tells("UPDATE filtered SET k = 4 WHERE id = 100", ["filtered"]);
  await tells("UPDATE filtered SET k = 5 WHERE id = 100", []);
});

test("TRUNCATE, of a table and of a partition", async () => {
  await tells("TRUNCATE plain", ["plain"]);
  await tells("TRUNCATE tree_1", ["tree", "tree_1"]);
});

test("a large transaction that was streamed", async () => {
  await target.query("ALTER SUBSCRIPTION sub SET (streaming = on)");
  await source.query("SET logical_decoding_work_mem = '64kB'");
  await tells("BEGIN; INSERT INTO plain SELECT n, 'streamed' FROM generate_series(1, 20000) AS n; SAVEPOINT a; DELETE FROM tree; ROLLBACK TO a; COMMIT", ["plain"]);
});

test("without the row triggers an apply worker would not be seen: this suite would notice", async () => {
  await watcher.watch(...NAMES);
  await target.query("ALTER EVENT TRIGGER pg_live_ddl DISABLE");
  await target.query("ALTER TABLE plain DISABLE TRIGGER pg_live_row");
  await source.query("INSERT INTO plain VALUES (30000, 'unseen')");
  await applied();
  assert.equal(await watcher.isTold("plain"), false);
  await assert.rejects(watcher.watch("plain"), /not watched: changes of \S*plain were not captured/);
  await target.query("ALTER EVENT TRIGGER pg_live_ddl ENABLE ALWAYS");
  await until("the scribe has put the trigger right", async () => {
    const { rows } = await target.query("SELECT complete FROM live.captured WHERE relation = 'plain'::regclass");
    return rows[0].complete;
  });
  await tells("UPDATE plain SET v = 'seen' WHERE id = 30000", ["plain"]);
});

test("no process has crashed", async () => {
  await subscriber.assertHealthy();
});
