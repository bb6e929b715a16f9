// Queries by PgBouncer in transaction mode: fewer sessions than the relay has connections, each lent for a transaction.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { LiveClient } from "../lib/clients.mjs";
import { freePort } from "../lib/processes.mjs";
import { startRelay } from "../lib/relay.mjs";
import { Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

// Debian keeps it where root looks.
const PATH = `${process.env.PATH}:/usr/sbin`;
const missing = spawnSync("pgbouncer", ["--version"], { env: { PATH } }).error !== undefined;
const skip = missing ? "PgBouncer is not installed" : false;

const PATIENCE = { timeout: 60_000 };
/** The sessions that PgBouncer keeps; the relay has four connections for queries. */
const SESSIONS = 2;

/** @type {Server} */ let server;
let bouncer, db, folder, relays;

before(async () => {
  if (missing) return;
  server = await Server.start();
  db = server.sql({ admin: true });
  const direct = new URL(server.env.PG_LIVE_RELAY_URL);
  const port = await freePort();
  folder = await mkdtemp(join(tmpdir(), "pg-live-pooler-"));
  await chmod(folder, 0o755); // As root PgBouncer does not run; another user must read it.
  const at = `host=${direct.hostname} port=${direct.port} dbname=app`;
  await writeFile(join(folder, "users.txt"), `"${direct.username}" "${decodeURIComponent(direct.password)}"\n`);
  await writeFile(
    join(folder, "pgbouncer.ini"),
    `[databases]
queries = ${at} connect_query='SELECT live.prepare_connection()'
unprepared = ${at}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${join(folder, "users.txt")}
pool_mode = transaction
default_pool_size = ${SESSIONS}
`,
  );
  const account = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};
  bouncer = spawn("pgbouncer", [join(folder, "pgbouncer.ini")], { ...account, env: { PATH }, stdio: "ignore" });
  const by = (name) => {
    const url = new URL(direct);
    [url.hostname, url.port, url.pathname] = ["127.0.0.1", String(port), `/${name}`];
    return url.href;
  };
  const relay = (name) => startRelay(server, { name, args: ["--query-url", by(name)] });
  relays = { queries: await relay("queries"), unprepared: await relay("unprepared") };
});

after(async () => {
  await Promise.all(Object.values(relays ?? {}).map((relay) => relay.stop()));
  bouncer?.kill("SIGKILL");
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const channels = Array.from({ length: 30 }, (_, n) => `pooled ${n}`);

test("live queries follow writes of clients and of SQL, also many at one snapshot", { skip }, async () => {
  const clients = [1, 2, 3].map(() => new LiveClient(relays.queries.url));
  try {
    const lists = clients.flatMap((client) => channels.map((channel) => client.subscribe("messages:list", { channel })));
    await Promise.all(lists.map((list) => list.becomes("has a value", () => true, PATIENCE)));
    for (const round of [1, 2, 3]) {
      await clients[0].mutation("messages:send", { author: "ada", body: `client ${round}`, channel: channels[0] });
      await db.query(
        "INSERT INTO messages (author, body, channel) SELECT 'psql', $1, unnest($2::text[])",
        [`sql ${round}`, channels],
      );
      for (const list of lists) {
        await list.becomes(`shows sql ${round}`, (all) => all.some(({ body }) => body === `sql ${round}`), PATIENCE);
      }
    }
    for (const list of lists) assert.deepEqual(list.errors, []);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
});

test("sessions that were not prepared are told", { skip }, async () => {
  let said;
  await until("the relay answers", async () => {
    const response = await fetch(`${relays.unprepared.url}/api/query`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ path: "messages:list", args: { channel: "x" } }),
    });
    said = await response.text();
    return response.status !== 503;
  }, PATIENCE);
  assert.match(said, /connect_query|snapshot/);
});
