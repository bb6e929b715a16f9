// R11: connections that share a snapshot. The others import what the first has exported, with its completion count.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { Cluster } from "./cluster.mjs";
import { Watcher } from "./watcher.mjs";

const READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

let cluster, writer, watcher, helper;

before(async () => {
  cluster = await Cluster.start("snapshots");
  writer = await cluster.connect();
  await writer.query("CREATE EXTENSION pg_live");
  await writer.query("CREATE TABLE t (id serial)");
  await writer.query("SELECT live.capture_table('t')");
  watcher = await Watcher.attach(await cluster.connect());
});

after(() => cluster?.stop());

beforeEach(async () => {
  // Not prepared: an imported snapshot does not need that.
  helper = await cluster.connect();
  await watcher.settle();
});

const rowsSeen = async (connection) => (await connection.query("SELECT count(*)::int AS n FROM t")).rows[0].n;
const place = async (connection) => (await connection.query("SELECT boot, c FROM live.watermark($1, 0)", [watcher.owner])).rows[0];

/** Begins a transaction and exports its snapshot. */
async function exported(connection) {
  await connection.query(READ);
  const seen = await rowsSeen(connection);
  const { rows } = await connection.query("SELECT pg_export_snapshot() AS name");
  return { ...(await place(connection)), seen, name: rows[0].name };
}

async function begin(connection, { name, c }) {
  await connection.query(READ);
  await connection.query(`SET TRANSACTION SNAPSHOT '${name}'`);
  await connection.query("SELECT live.import_snapshot($1)", [c]);
}

/** Watches the table on a connection that has imported a snapshot, at generation 1 of a sub of its own. */
async function watchOn(connection, sub) {
  const text = "SELECT registered FROM live.watch($1, $2, 1, ARRAY['t'::regclass])";
  assert.equal((await connection.query(text, [watcher.owner, sub])).rows[0].registered, true);
}

async function isTold(sub) {
  await watcher.settle();
  const { rows } = await writer.query("SELECT FROM live.next($1, $2, 0) WHERE sub = $3", [watcher.owner, watcher.boot, sub]);
  return rows.length > 0;
}

test("both see the same, and stand at the same place, whatever is committed in between", async () => {
  const lead = watcher.client;
  const snapshot = await exported(lead);
  for (let n = 0; n < 3; n += 1) {
    await writer.query("INSERT INTO t DEFAULT VALUES");
  }
  await begin(helper, snapshot);
  assert.deepEqual([await rowsSeen(lead), await rowsSeen(helper)], [snapshot.seen, snapshot.seen]);
  assert.deepEqual(await place(helper), { boot: snapshot.boot, c: snapshot.c });
  assert.equal(await rowsSeen(writer), snapshot.seen + 3);
  await Promise.all([lead, helper].map((connection) => connection.query("COMMIT")));
});

test("what is registered with it is told of what it does not see, and of nothing that it sees", async () => {
  await writer.query("INSERT INTO t DEFAULT VALUES");
  const lead = watcher.client;
  const running = await cluster.connect();
  await running.query("BEGIN; INSERT INTO t DEFAULT VALUES");
  let snapshot = await exported(lead);
  await begin(helper, snapshot);
  await watchOn(helper, 101);
  await Promise.all([lead, helper].map((connection) => connection.query("COMMIT")));
  assert.equal(await isTold(101), false, "what was committed before it is seen");
  await running.query("COMMIT");
  assert.equal(await isTold(101), true, "what was running is not");
  // One that commits between the export and the registration.
  snapshot = await exported(lead);
  await writer.query("INSERT INTO t DEFAULT VALUES");
  await watcher.settle();
  await begin(helper, snapshot);
  await watchOn(helper, 102);
  await Promise.all([lead, helper].map((connection) => connection.query("COMMIT")));
  assert.equal(await isTold(102), true);
});

test("the count belongs to the one transaction that imported it", async () => {
  const lead = watcher.client;
  const snapshot = await exported(lead);
  await begin(helper, snapshot);
  await Promise.all([lead, helper].map((connection) => connection.query("COMMIT")));
  await writer.query("INSERT INTO t DEFAULT VALUES");
  await helper.query(READ);
  await assert.rejects(place(helper), { code: "LV006" });
  await helper.query("ROLLBACK");
  await helper.query("SELECT live.prepare_connection()");
  await helper.query(READ);
  assert.ok(BigInt((await place(helper)).c) > BigInt(snapshot.c));
  await helper.query("COMMIT");
});

test("without the count, or with one that no snapshot has, nothing is registered", async () => {
  const lead = watcher.client;
  const { name, c } = await exported(lead);
  const refused = async (count, code) => {
    await assert.rejects(begin(helper, { name, c: count }), { code });
    await helper.query("ROLLBACK");
  };
  await refused(0, "22023");
  await refused(-1, "22023");
  await refused(BigInt(c) + 1_000_000n, "22023");
  await helper.query(READ);
  await helper.query(`SET TRANSACTION SNAPSHOT '${name}'`);
  await assert.rejects(watchOn(helper, 103), { code: "LV006" });
  await helper.query("ROLLBACK");
  await assert.rejects(helper.query("SELECT live.import_snapshot($1)", [c]), { code: "25001" });
  await lead.query("COMMIT");
  await helper.query(READ);
  await assert.rejects(helper.query(`SET TRANSACTION SNAPSHOT '${name}'`), /snapshot/, "it ends with its transaction");
  await helper.query("ROLLBACK");
});

test("no process has crashed", async () => {
  await cluster.assertHealthy();
});
