// Servers for live queries that are compared with pg_live, each with a database of its own in the same cluster.
import pg from "pg";
import { addServerPackage, installPeer } from "./install.mjs";
import { makePeerDatabase, PeerServer } from "./peer.mjs";
import { openLive, openRemote, openRequery } from "./sides.mjs";

/**
 * By name: `server`: a folder of `peers` with a server; `clients`: one with clients of its own; `schema`: what its database
 * needs beside the table; `isAdmin`: it needs more than the owner of its tables; `interval`: it finds nothing sooner, in ms.
 */
export const RIVALS = {
  requery: { label: "trigger, NOTIFY, a Node server that runs the written keys' queries again", server: "node-requery", schema: ["node-requery"] },
  listen: { label: "a LISTEN connection for each subscriber", clients: "listen-each", schema: ["listen-each"] },
  poll100: { label: "polling each 100 ms, method of Hasura's live queries", server: "poll-batched", schema: ["poll-batched"], env: { INTERVAL_MS: "100" }, interval: 100 },
  poll1000: { label: "polling each 1,000 ms, method of Hasura's live queries", server: "poll-batched", schema: ["poll-batched"], env: { INTERVAL_MS: "1000" }, interval: 1000 },
  wal2json: { label: "wal2json polled each 100 ms, method of Supabase's Postgres Changes", server: "wal2json-poll", schema: ["wal2json-poll"], isAdmin: true, needs: addWal2json, interval: 100 },
  zero: { label: "zero-cache 1.9.0 with Zero's own client", server: "zero-cache", clients: "zero-cache", schema: [], isAdmin: true, needs: () => installPeer("zero-cache") },
};

/** Adds the output plugin's file to those of the server; what fails is told when the rival is started. */
export const prepareRivals = () => addServerPackage("postgresql-15-wal2json").catch(() => {});

/** Newer servers must also be told that the output plugin may be used. */
async function addWal2json(server) {
  await addServerPackage("postgresql-15-wal2json");
  const admin = server.sql({ admin: true, max: 1 });
  const { rows } = await admin.query("SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'");
  if (rows.length > 0) {
    await admin.query(`ALTER SYSTEM SET output_plugin_libraries = ${[rows[0].setting, "wal2json"].filter((name) => name !== "").join(", ")}`);
    await admin.query("SELECT pg_reload_conf()");
  }
}

export const TOPICS = 1_000;
const BODY = "Someone wrote these hundred characters of text, as they do in a chat, and someone else is to see them.";

/** Ten entries of each topic. */
export async function fill(databaseUrl) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(
    "INSERT INTO entries (topic, n, body) SELECT 'topic ' || topic, n, $2 FROM generate_series(0, $1::int - 1) AS topic, generate_series(1, 10) AS n",
    [TOPICS, BODY],
  );
  await client.query("VACUUM ANALYZE entries");
  await client.end();
}

/** The writes of a run: numbers that only grow, topics in turn. */
export function* entriesOf(topics) {
  const start = Date.now() * 1000; // Later than every earlier run.
  for (let n = 1; ; n += 1) {
    yield { topic: topics[n % topics.length], n: start + n, body: `${n} ${BODY}` };
  }
}

const withDatabase = (connectionString, database) => {
  const url = new URL(connectionString);
  url.pathname = `/${database}`;
  return url.href;
};

/** Starts a rival; `open(layout)` opens its subscribers, `pids` are the processes of its server, `stop()` ends it. */
export async function startRival(name, server) {
  const { label, server: folder, clients, schema, isAdmin, needs, env } = RIVALS[name];
  await needs?.(server);
  const database = `rival_${name}`;
  const owner = await makePeerDatabase(server, database, schema);
  const databaseUrl = isAdmin ? withDatabase(server.env.PG_LIVE_ADMIN_URL, database) : owner;
  await fill(databaseUrl);
  const begin = () => PeerServer.start(folder, databaseUrl, env);
  const process = folder === undefined ? undefined : await begin().catch(async (error) => {
    await forget(server.sql({ admin: true, max: 1 }), database);
    throw error;
  });
  const open = (layout) => {
    const place = { url: process?.url ?? databaseUrl, databaseUrl, layout };
    return clients === undefined ? openRequery(place) : openRemote({ ...place, url: place.url.replace(/^ws:/, "http:"), name: clients });
  };
  const serverUrl = process?.url;
  return { name, label, database, databaseUrl, url: serverUrl?.replace(/^ws:/, "http:"), serverUrl, open, pids: process?.pids ?? [], stop: () => process?.stop() };
}

/** pg_live, of the same form; it has a relay of its own. */
export const ours = (server, relay) => ({
  name: "live",
  label: "pg_live",
  database: new URL(server.env.DATABASE_URL).pathname.slice(1),
  databaseUrl: server.env.DATABASE_URL,
  open: (layout) => openLive({ url: server.url, databaseUrl: server.env.DATABASE_URL, layout }),
  pids: [relay],
});

/** Removes what would hold back the WAL for whoever comes next. */
export async function forget(admin, database) {
  for (let tries = 0; tries < 100; tries += 1) {
    await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [database]);
    try {
      await admin.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1", [database]);
      await admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100)); // Its backends are still ending.
    }
  }
  throw new Error(`the database ${database} cannot be dropped`);
}
