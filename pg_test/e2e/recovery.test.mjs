// Parts of the server die; the clients recover by themselves and are right.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LiveClient } from "../lib/clients.mjs";
import { Server } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

const PATIENCE = { timeout: 60_000 };

const ENDS_OF_POSTGRES = { "fast shutdown": "SIGINT", "immediate shutdown": "SIGQUIT", "kill -9": "SIGKILL" };

/** @type {Server} */ let server;
/** @type {LiveClient[]} */ let clients;
let lists;
let messageNumber = 0;

before(async () => {
  server = await Server.start({ ownRelay: true });
  clients = [new LiveClient(server.url), new LiveClient(server.url)];
  lists = clients.map((client) => client.subscribe("messages:list", { channel: "recovery" }));
  await Promise.all(lists.map((list) => list.ready()));
});

after(async () => {
  await Promise.all((clients ?? []).map((client) => client.close()));
  await server?.stop();
});

/** A write by SQL through a new connection, repeated until the database takes it. */
async function insertBySql() {
  messageNumber += 1;
  const body = `sql ${messageNumber}`;
  const pool = server.sql({ max: 1 });
  await until("the insert goes through", () => pool.query("INSERT INTO messages(author, body, channel) VALUES ('psql', $1, 'recovery')", [body]), {
    ...PATIENCE,
    every: 100,
  });
  await pool.end();
  return body;
}

/** Settings of the server (`null`: as before), in force soon. */
async function setServer(admin, settings) {
  for (const [name, value] of Object.entries(settings)) {
    await admin.query(value === null ? `ALTER SYSTEM RESET ${name}` : `ALTER SYSTEM SET ${name} = '${value}'`);
  }
  await admin.query("SELECT pg_reload_conf()");
}

/** Both clients show what the table holds, follow a SQL write and each other's mutations, and report no error. */
async function assertAllWell() {
  const inserted = await insertBySql();
  for (const list of lists) {
    await list.becomes(`shows ${inserted}`, ([first]) => first?.body === inserted, PATIENCE);
  }
  messageNumber += 1;
  const body = `client ${messageNumber}`;
  await clients[0].mutation("messages:send", { author: "client", body, channel: "recovery" });
  const pool = server.sql({ max: 1 });
  const { rows } = await pool.query("SELECT body FROM messages WHERE channel = 'recovery' ORDER BY \"_creationTime\" DESC, _id DESC LIMIT 50");
  await pool.end();
  const expected = rows.map((row) => row.body).join();
  for (const list of lists) {
    await list.becomes(`shows what the table holds`, (messages) => messages.map((m) => m.body).join() === expected, PATIENCE);
    assert.deepEqual(list.errors, []);
  }
}

describe("with nothing going on", () => {
  test("at first all is well", assertAllWell);

  test("the clients' connections are cut", async () => {
    clients.forEach((client) => client.cut());
    await assertAllWell();
  });

  test("a write while a client is away is there when it is back", async () => {
    clients[0].cut();
    const body = await insertBySql();
    await lists[0].becomes(`shows ${body}`, ([first]) => first?.body === body, PATIENCE);
    await assertAllWell();
  });

  test("the relay's connections to the database are ended", async () => {
    const admin = server.sql({ admin: true, max: 1 });
    const { rowCount } = await admin.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
    );
    assert.ok(rowCount > 0);
    await admin.end();
    await assertAllWell();
  });

  // Postgres holds its lock of the notification queue until such a commit is through, which may be never: the worker
  // cannot notify, and relays look by themselves every few seconds.
  test("an app's NOTIFY that waits for a synchronous standby keeps nothing from the clients", { timeout: 120_000 }, async () => {
    const admin = server.sql({ admin: true, max: 1 });
    const holder = await server.sql({ max: 1 }).connect();
    const held = clients[0].subscribe("messages:list", { channel: "held" });
    await held.ready();
    await holder.query("SET synchronous_commit = on");
    await setServer(admin, { synchronous_commit: "local", synchronous_standby_names: "nobody" });
    const { rows: own } = await holder.query("SELECT pg_backend_pid() AS pid");
    let written = 0;
    let committed;
    do {
      // The setting is in force some time after it was read.
      written += 1;
      committed = holder.query(`BEGIN; NOTIFY something; INSERT INTO messages(author, body, channel) VALUES ('psql', '${written}', 'held'); COMMIT`);
    } while (await Promise.race([committed.then(() => true), sleep(500).then(() => false)]));
    try {
      await until("the commit holds the queue", async () => {
        const { rows } = await admin.query(
          `SELECT FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid) WHERE a.pid = $1 AND a.wait_event = 'SyncRep'
             AND l.granted AND l.locktype = 'object' AND l.classid = 'pg_database'::regclass AND l.objid = 0`,
          [own[0].pid],
        );
        return rows.length > 0;
      });
      await assertAllWell();
      await held.becomes("shows what is visible", (messages) => messages.length === written - 1, PATIENCE);
    } finally {
      await setServer(admin, { synchronous_commit: null, synchronous_standby_names: null });
    }
    await committed;
    await held.becomes("shows it once it is visible", (messages) => messages.length === written, PATIENCE);
    holder.release();
    held.stop();
    await assertAllWell();
  });

  test("kill -9 of the relay; a write while it is away", { timeout: 120_000 }, async () => {
    await server.killRelay();
    await insertBySql();
    await server.startRelay();
    await assertAllWell();
  });

  test("kill -9 of the background worker", { timeout: 120_000 }, async () => {
    await server.killWorker();
    await server.whenDatabaseIsUp();
    await assertAllWell();
  });

  for (const [how, signal] of Object.entries(ENDS_OF_POSTGRES)) {
    test(`Postgres is ended (${how}) and started again`, { timeout: 120_000 }, async () => {
      await server.endPostgres(signal);
      await assertAllWell();
    });
  }

  test("kill -9 of pg-live dev, and another start", { timeout: 120_000 }, async () => {
    await server.killDev();
    await server.startDev();
    await assertAllWell();
  });
});

/**
 * Runs `harm` while two clients send numbered messages without pause, then
 * asserts that each message is in the table exactly once: none lost that was
 * promised, none written twice by being sent again.
 */
async function exactlyOnceDespite(name, harm) {
  const channel = `once ${name}`;
  const watcher = clients[1].subscribe("messages:count", { channel });
  let stop = false;
  let sent = 0;
  const senders = clients.map(async (client, who) => {
    const bodies = [];
    while (!stop) {
      const body = `${who}:${bodies.length}`;
      await client.mutation("messages:send", { author: `${who}`, body, channel });
      bodies.push(body);
      sent += 1;
    }
    return bodies;
  });
  await until("some are sent", () => sent >= 10, PATIENCE);
  await harm();
  const before = sent;
  await until("some more are sent", () => sent >= before + 10, PATIENCE);
  stop = true;
  const expected = (await Promise.all(senders)).flat().toSorted();
  const pool = server.sql({ max: 1 });
  const { rows } = await pool.query("SELECT body FROM messages WHERE channel = $1", [channel]);
  await pool.end();
  assert.deepEqual(rows.map(({ body }) => body).toSorted(), expected);
  await watcher.becomes("shows as many", (count) => count === Math.min(50, expected.length), PATIENCE);
  watcher.stop();
}

describe("while mutations are sent, each is done exactly once", { timeout: 600_000 }, () => {
  test("the clients' connections are cut again and again", async () => {
    await exactlyOnceDespite("cut", async () => {
      for (let n = 0; n < 15; n += 1) {
        clients[n % 2].cut();
        await sleep(37 * n);
      }
    });
  });

  test("kill -9 of the relay", async () => {
    await exactlyOnceDespite("relay", async () => {
      await server.killRelay();
      await server.startRelay();
    });
  });

  test("kill -9 of the background worker", async () => {
    await exactlyOnceDespite("worker", async () => {
      await server.killWorker();
      await server.whenDatabaseIsUp();
    });
  });

  for (const [how, signal] of Object.entries(ENDS_OF_POSTGRES)) {
    test(`Postgres is ended (${how}) and started again`, async () => {
      await exactlyOnceDespite(how, () => server.endPostgres(signal));
    });
  }

  test("after all that all is well", assertAllWell);
});
