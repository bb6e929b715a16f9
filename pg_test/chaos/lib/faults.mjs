// The ways to break the system. Each resolves when the damage is done and what needs a hand to come back has
// had it; `allowed` are lines of the server's log that belong to it.
import assert from "node:assert/strict";
import { killAndWait } from "../../lib/processes.mjs";
import { sleep, until } from "../../lib/wait.mjs";

const CRASH = [/terminating connection because of crash/];
/** A condition on pg_stat_activity: a backend that runs a function of a client. */
const IN_FUNCTION = "backend_type = 'client backend' AND state = 'active' AND query LIKE '%live.run_mutation(%'";

/** Commits that wait for a standby which does not exist: after the commit record, before anybody can see them. */
async function heldBack(cluster, sql, work) {
  const connection = await cluster.connect("postgres");
  await connection.query("SET synchronous_commit = on; SET application_name = 'held back'");
  await cluster.setServer("synchronous_standby_names", "nobody");
  await until("the server has the setting", async () =>
    await cluster.asAdmin(async (admin) => (await admin.query("SHOW synchronous_standby_names")).rows[0].synchronous_standby_names === "nobody"),
  );
  const done = connection.query(sql).then(() => true, () => false);
  await until("the commit waits", async () => (await cluster.pids("wait_event = 'SyncRep'")).length > 0);
  try {
    await work();
  } finally {
    await cluster.setServer("synchronous_standby_names", undefined);
  }
  assert.ok(await done, "the commit that was held back went through");
  await connection.end().catch(() => {});
}

/** Fills the log of the extension while its worker is not allowed to run. */
async function overflowLog(cluster) {
  const worker = await cluster.worker();
  const before = await overflows(cluster);
  process.kill(worker, "SIGSTOP");
  try {
    await cluster.asAdmin(async (admin) => {
      // Many commits, not large ones: a table that nobody watches publishes its name only.
      for (let n = 0; n < 400 && (await overflows(cluster, admin)) === before; n += 1) {
        await admin.query(`DO $$ BEGIN FOR i IN 1..100 LOOP
          INSERT INTO bulk (text) VALUES (repeat('x', 50) || i); COMMIT; END LOOP; END $$`);
      }
      await admin.query("DELETE FROM bulk");
    });
  } finally {
    process.kill(worker, "SIGCONT");
  }
  assert.ok((await overflows(cluster)) > before, "the log overflowed");
}

async function overflows(cluster, connection) {
  const count = async (admin) => Number((await admin.query("SELECT value FROM live.stats WHERE name = 'log_overflows'")).rows[0].value);
  return connection === undefined ? await cluster.asAdmin(count) : await count(connection);
}

/** A transaction that writes and stays open while `work` is done, however long that takes. */
async function whileOpen(cluster, { round, load, channels }, how, work) {
  const connection = await cluster.connect("postgres");
  const body = load.body("long");
  await connection.query("BEGIN");
  await connection.query("INSERT INTO messages (channel, body) VALUES ($1, $2)", [channels[0], body]);
  if (how === "prepared") {
    await connection.query(`PREPARE TRANSACTION 'chaos ${round}'`);
  }
  await work();
  const end = how === "prepared" ? await cluster.connect("postgres") : connection;
  await end.query(how === "prepared" ? `COMMIT PREPARED 'chaos ${round}'` : "COMMIT");
  load.acknowledged.push(body);
  await Promise.all([connection, end].map((client) => client.end().catch(() => {})));
}

export const FAULTS = [
  {
    name: "kill -9 of a backend that runs JavaScript",
    allowed: CRASH,
    async run({ cluster, audience, load, channels }) {
      const body = load.body("slow");
      const call = audience.clients[0].mutation("chaos:slow", { channel: channels[0], body, turns: 60_000_000 });
      call.then(() => load.acknowledged.push(body), () => {});
      await until("it runs", async () => {
        const [pid] = await cluster.pids(`${IN_FUNCTION} AND clock_timestamp() - query_start > interval '50 ms'`);
        return pid !== undefined && (await killAndWait(pid, "SIGKILL").then(() => true, () => false));
      }, { every: 10, timeout: 30_000 });
      await cluster.whenUp();
    },
  },
  {
    name: "kill -9 of the worker",
    allowed: CRASH,
    async run({ cluster }) {
      await killAndWait(await cluster.worker(), "SIGKILL");
      await cluster.whenUp();
    },
  },
  {
    name: "the worker is terminated; others live on",
    async run({ cluster }) {
      const bystander = await cluster.connect();
      const worker = await cluster.worker();
      await cluster.asAdmin((admin) => admin.query("SELECT pg_terminate_backend($1)", [worker]));
      await until("another worker has come", async () => (await cluster.worker()) !== worker);
      await bystander.query("SELECT"); // It has not lost its connection.
      await bystander.end();
    },
  },
  {
    name: "kill -TERM of worker and scribe",
    async run({ cluster }) {
      const pids = await cluster.pids("backend_type IN ('pg_live worker', 'pg_live scribe')");
      await Promise.all(pids.map((pid) => killAndWait(pid, "SIGTERM").catch(() => {})));
    },
  },
  { name: "kill -9 of the postmaster", allowed: CRASH, run: ({ cluster }) => cluster.restartPostgres("SIGKILL") },
  { name: "immediate shutdown", allowed: [...CRASH, /immediate shutdown/], run: ({ cluster }) => cluster.restartPostgres("SIGQUIT") },
  { name: "kill -9 of the relay", run: ({ cluster }) => cluster.restartRelay("SIGKILL") },
  {
    name: "connections between clients and relay are cut",
    async run({ cluster, next }) {
      for (let n = 0; n < 6; n += 1) {
        cluster.proxies.clients.cut(() => next() < 0.6);
        await sleep(next() * 250);
      }
    },
  },
  {
    name: "connections between relay and Postgres are cut",
    async run({ cluster, next }) {
      for (let n = 0; n < 5; n += 1) {
        cluster.proxies.postgres.cut(() => next() < 0.6);
        await sleep(next() * 250);
      }
    },
  },
  {
    name: "the disk is full",
    // Before the write-ahead log has room again, Postgres may end; so may the extension's own transactions.
    allowed: [...CRASH, /PANIC:.*(No space left on device|File too large|could not (write|open|create|fsync))/, /pg_live/],
    async run({ cluster }) {
      const free = await cluster.fillDisk();
      const admin = await cluster.connect("postgres").catch(() => undefined);
      const grow = "INSERT INTO bulk (text) SELECT repeat('x', 500) FROM generate_series(1, 40000)";
      const failed = await (admin?.query(grow).then(() => undefined, (error) => error.message) ?? "there is no server any more");
      assert.notEqual(failed, undefined, "40 MB went onto a full disk");
      await sleep(500);
      await free();
      const ended = await Promise.race([cluster.postmaster.ended.then(() => true), cluster.whenUp().then(() => false)]);
      if (ended) {
        await cluster.startPostgres();
      }
      await admin?.end().catch(() => {});
      await cluster.asAdmin((again) => again.query("TRUNCATE bulk"));
    },
  },
  {
    name: "the worker ends between publication and visibility",
    async run({ cluster, load, channels }) {
      const body = load.body("held");
      const sql = `INSERT INTO messages (channel, body) VALUES ('${channels[0]}', '${body}')`;
      await heldBack(cluster, sql, async () => {
        const worker = await cluster.worker();
        await cluster.asAdmin((admin) => admin.query("SELECT pg_terminate_backend($1)", [worker]));
        await until("another worker has come", async () => (await cluster.worker()) !== worker);
        await sleep(300);
      });
      load.acknowledged.push(body);
    },
  },
  { name: "the log overflows", run: ({ cluster }) => overflowLog(cluster) },
  {
    name: "a long writer, and the log overflows meanwhile",
    run: (context) => whileOpen(context.cluster, context, "open", () => overflowLog(context.cluster)),
  },
  {
    name: "a NOTIFY of the app holds the queue",
    async run({ cluster, load, channels }) {
      const body = load.body("notify");
      const sql = `BEGIN; NOTIFY something; INSERT INTO messages (channel, body) VALUES ('${channels[0]}', '${body}'); COMMIT`;
      await heldBack(cluster, sql, () => sleep(1200));
      load.acknowledged.push(body);
    },
  },
  {
    name: "forged NOTIFYs",
    async run({ cluster, next }) {
      const { rows } = await cluster.asAdmin((admin) => admin.query("SELECT live.status() AS status"));
      const forger = await cluster.connect();
      for (const owner of [...Object.keys(rows[0].status.owners), "1", "nonsense"]) {
        for (let n = 0; n < 100; n += 1) {
          const boot = rows[0].status.boot + Math.floor(next() * 3) - 1;
          await forger.query("SELECT pg_notify('pg_live', $1)", [`${owner} ${boot} ${Math.floor(next() * 1e6)}`]);
        }
      }
      const refused = await forger.query("SELECT live.next(1, 1, 0)").then(() => undefined, (error) => error.code);
      assert.equal(refused, "42501", "only the relay's role may fetch");
      await forger.end();
    },
  },
  { name: "fast shutdown", run: ({ cluster }) => cluster.restartPostgres("SIGINT") },
  { name: "the relay is told to end", run: ({ cluster }) => cluster.restartRelay("SIGTERM") },
  {
    name: "a prepared transaction outlives a crash",
    allowed: CRASH,
    run: (context) => whileOpen(context.cluster, context, "prepared", () => context.cluster.restartPostgres("SIGKILL")),
  },
  {
    name: "the launcher is terminated",
    async run({ cluster }) {
      await Promise.all((await cluster.pids("backend_type = 'pg_live launcher'")).map((pid) => killAndWait(pid, "SIGTERM").catch(() => {})));
      const worker = await cluster.worker();
      await cluster.asAdmin((admin) => admin.query("SELECT pg_terminate_backend($1)", [worker]));
    },
  },
  {
    name: "the network between relay and Postgres stands still",
    async run({ cluster, next }) {
      cluster.proxies.postgres.hold();
      await sleep(500 + next() * 1000);
      cluster.proxies.postgres.move();
    },
  },
];
