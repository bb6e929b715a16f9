// A commit that is in the WAL, flushed and decoded, but not visible: nobody is told before new snapshots see it. For both
// ways of capture.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "../lib/wait.mjs";
import { Cluster } from "./cluster.mjs";
import { Watcher } from "./watcher.mjs";

let cluster, client, watcher;

before(async () => {
  cluster = await Cluster.start("visible");
  client = await cluster.connect();
  await client.query("CREATE EXTENSION pg_live");
  watcher = await Watcher.attach(await cluster.connect());
});

after(() => cluster?.stop());

async function synchronousStandby(name) {
  await client.query(`ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
  await client.query("SELECT pg_reload_conf()");
  await until("the setting is in force", async () => {
    const { rows } = await client.query("SHOW synchronous_standby_names");
    return rows[0].synchronous_standby_names === name;
  });
}

const status = async () => (await client.query("SELECT live.status() AS status")).rows[0].status;
const rowsSeen = async (table) => (await client.query(`SELECT count(*)::int AS n FROM ${table}`)).rows[0].n;

for (const mode of ["trigger", "wal"]) {
  test(`${mode}: a commit that waits for a standby that never comes`, async () => {
    const table = `held_${mode}`;
    await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY)`);
    await client.query("SELECT live.set_capture($1::regclass, $2)", [table, mode]);
    await client.query("SELECT live.capture_table($1::regclass)", [table]);
    await watcher.watch(table);
    await client.query(`INSERT INTO ${table} VALUES (0)`);
    await watcher.told(table);
    if (mode === "wal") {
      await until("the decoder decodes", async () => (await status()).decoder.state === "decoding", { timeout: 60_000 });
    }
    await synchronousStandby("nobody");
    await watcher.watch(table);
    const writer = await cluster.connect();
    let ended = false;
    const writing = writer.query(`INSERT INTO ${table} VALUES (1)`).then(() => (ended = true));
    await until("the writer's commit is in the WAL", async () => {
      const { rows } = await client.query("SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'", [
        writer.processID,
      ]);
      return rows.length === 1;
    });
    await until("it is decoded", async () => {
      const { log, unresolved, decoder } = await status();
      return log.lag_bytes === 0 && unresolved === 1 && (mode === "trigger" || decoder.lag_bytes === 0);
    });
    assert.equal(ended, false);
    assert.equal(await rowsSeen(table), 1, "new snapshots do not see it");
    watcher.prepared = 1;
    assert.equal(await watcher.isTold(table), false, "a run would find nothing new");
    // One that comes now cannot see it either, and waits with it.
    await watcher.watch(table);
    assert.equal(await watcher.isTold(table), false);
    watcher.prepared = 0;
    await synchronousStandby("");
    await watcher.told(table);
    assert.equal(await rowsSeen(table), 2, "who is told finds it");
    await writing;
  });
}

test("when the decoder is terminated nothing is missed, its slot is gone, and another one comes", async () => {
  await watcher.watch("held_wal");
  await client.query("INSERT INTO held_wal VALUES (10)");
  await watcher.told("held_wal");
  await until("the decoder decodes", async () => (await status()).decoder.state === "decoding", { timeout: 60_000 });
  const { pid } = (await status()).decoder;
  await watcher.watch("held_wal");
  await client.query("SELECT pg_terminate_backend($1)", [pid]);
  await client.query("INSERT INTO held_wal VALUES (11)");
  await watcher.told("held_wal");
  await until("its slot is gone", async () => {
    const { rows } = await client.query("SELECT FROM pg_replication_slots WHERE slot_name LIKE $1", [`pg\\_live\\_%\\_${pid}`]);
    return rows.length === 0;
  });
  await watcher.watch("held_wal");
  await until("another one decodes", async () => {
    const { decoder } = await status();
    return decoder.state === "decoding" && decoder.pid !== pid;
  }, { timeout: 60_000 });
  await client.query("INSERT INTO held_wal VALUES (12)");
  await watcher.told("held_wal");
});

test("while an older transaction keeps the decoder from starting the whole table counts", async () => {
  await client.query("SELECT live.stop()");
  const older = await cluster.connect();
  await older.query("BEGIN");
  await older.query("CREATE TABLE older (id int)");
  watcher = await Watcher.attach(await cluster.connect(), 2);
  await watcher.client.query("SELECT live.attach(2)");
  watcher.prepared = 1; // The older transaction ran when the boot began.
  await watcher.watch("held_wal");
  await client.query("INSERT INTO held_wal VALUES (20)");
  await watcher.told("held_wal");
  await until("a decoder waits", async () => (await status()).decoder.state.startsWith("starting"), { timeout: 60_000 });
  await watcher.watch("held_wal");
  await client.query("INSERT INTO held_wal VALUES (21)");
  await watcher.told("held_wal");
  await watcher.watch("held_wal");
  await older.query("COMMIT");
  watcher.prepared = 0;
  await until("it decodes", async () => (await status()).decoder.state === "decoding", { timeout: 60_000 });
});

test("a server that is started with a lower wal_level says so, and captures as before", async () => {
  await cluster.set({ wal_level: "replica" });
  await cluster.restart();
  client = await cluster.connect();
  watcher = await Watcher.attach(await cluster.connect());
  await watcher.watch("held_wal");
  await client.query("INSERT INTO held_wal VALUES (30)");
  await watcher.told("held_wal");
  const { captured } = await status();
  assert.equal(captured.wal_refused, "wal_level is not logical");
  await assert.rejects(client.query("SELECT live.set_capture('held_trigger', 'wal')"), { code: "55000" });
  await cluster.assertHealthy();
});
