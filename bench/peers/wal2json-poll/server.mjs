// Changes of rows by the method of Supabase's Postgres Changes: a logical slot with wal2json is polled, the filter of each
// subscription is compared with each change, and for each subscriber that matches a statement in its role and with its claims
// asks whether it may see the row; then the row is sent. INTERVAL_MS passes between two polls that found nothing.
//
// Started by the bench as a child process; tells its port to its parent.
import { WebSocketServer } from "ws";
import pg from "pg";

const INTERVAL_MS = Number(process.env.INTERVAL_MS ?? 100);
const SLOT = "bench_changes";
const READER = "bench_reader";
const connectionString = process.env.DATABASE_URL;
const client = new pg.Client({ connectionString });
await client.connect();

const CHANGES = {
  name: "changes",
  text: `SELECT data FROM pg_logical_slot_get_changes('${SLOT}', NULL, $1,
           'format-version', '2', 'add-tables', 'public.entries', 'actions', 'insert', 'include-transaction', 'false')`,
  values: [Number(process.env.MAX_CHANGES ?? 100)],
};
const VISIBLE = { name: "visible", text: "SELECT to_json(e)::text AS value FROM entries e WHERE id = $1" };
const NEWEST = { name: "newest", text: "SELECT to_json(e)::text AS value FROM entries e WHERE topic = $1 ORDER BY id DESC LIMIT 1" };

/** Subscriptions by topic: their filter is `topic=eq.<topic>`. */
const byTopic = new Map();

/** The check of one subscriber: as its role, with its claims. */
async function isVisible({ topic }, id) {
  await client.query("BEGIN");
  await client.query({ name: "claims", text: "SELECT set_config('role', $1, true), set_config('request.jwt.claims', $2, true)", values: [READER, JSON.stringify({ topics: topic })] });
  const { rows } = await client.query({ ...VISIBLE, values: [id] });
  await client.query("COMMIT");
  return rows[0]?.value;
}

async function poll() {
  const { rows } = await client.query(CHANGES);
  for (const { data } of rows) {
    const change = Object.fromEntries(JSON.parse(data).columns.map(({ name, value }) => [name, value]));
    for (const subscription of byTopic.get(change.topic) ?? []) {
      const value = await isVisible(subscription, change.id);
      if (value !== undefined) {
        subscription.send(value);
      }
    }
  }
  setTimeout(() => poll().catch(failed), rows.length > 0 ? 0 : INTERVAL_MS);
}

function failed(error) {
  console.error(`wal2json-poll: ${error.message}`);
  process.exit(1);
}

/** One client: `{ id, query, args }` subscribes; its first value is what a client of that product fetches by itself. */
function serve(socket) {
  const stops = [];
  socket.on("message", async (data) => {
    const { id, args } = JSON.parse(data);
    const send = (value) => socket.send(`{"id":${Number(id)},"value":${value}}`);
    const subscription = { topic: args.topic, send };
    const of = byTopic.get(args.topic) ?? new Set();
    byTopic.set(args.topic, of.add(subscription));
    stops.push(() => of.delete(subscription));
    const { rows } = await reader.query({ ...NEWEST, values: [args.topic] });
    send(rows[0]?.value ?? "null");
  });
  socket.on("close", () => stops.forEach((stop) => stop()));
  socket.on("error", () => socket.terminate());
}

const reader = new pg.Pool({ connectionString, max: 2 });
await client.query(`DO $$ BEGIN CREATE ROLE ${READER}; EXCEPTION WHEN duplicate_object THEN NULL; END $$; GRANT SELECT ON entries TO ${READER}`);
await client.query(`SELECT pg_create_logical_replication_slot('${SLOT}', 'wal2json')`);
process.on("disconnect", () => process.exit());
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 1024 });
server.on("connection", serve);
server.on("listening", () => process.send({ port: server.address().port }));
poll().catch(failed);
