// Live queries by polling, by the method of Hasura's live queries: subscriptions of the same query text are put together, up
// to a hundred in a statement, which takes their variables from unnest and runs the query for each by a lateral join; what
// differs from the last result is sent. INTERVAL_MS passes between the starts of two rounds.
//
// Started by the bench as a child process; tells its port to its parent.
import { WebSocketServer } from "ws";
import pg from "pg";

const INTERVAL_MS = Number(process.env.INTERVAL_MS ?? 1000);
const BATCH = Number(process.env.BATCH ?? 100);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.POOL_SIZE ?? 4) });

const POLL = {
  name: "poll",
  text: `
    SELECT s.id, e.value
      FROM unnest($1::int[], $2::json[]) AS s(id, variables)
      LEFT JOIN LATERAL (
        SELECT to_json(e)::text AS value FROM entries e WHERE topic = s.variables ->> 'topic' ORDER BY e.id DESC LIMIT 1
      ) AS e ON true`,
};

/** A distinct query with its subscribers, by its arguments as text. */
const cohorts = new Map();
let next = 0;

function take(cohort, value) {
  if (value !== cohort.value) {
    cohort.value = value;
    cohort.sends.forEach((send) => send(value));
  }
}

async function poll(batch) {
  const byId = new Map(batch.map((cohort) => [cohort.id, cohort]));
  const { rows } = await pool.query({ ...POLL, values: [[...byId.keys()], batch.map(({ args }) => args)] });
  rows.forEach(({ id, value }) => take(byId.get(id), value ?? "null"));
}

async function round() {
  const started = performance.now();
  const all = [...cohorts.values()];
  const batches = [];
  for (let start = 0; start < all.length; start += BATCH) {
    batches.push(poll(all.slice(start, start + BATCH)));
  }
  await Promise.all(batches).catch((error) => console.error(`poll-batched: ${error.message}`));
  setTimeout(round, Math.max(0, INTERVAL_MS - (performance.now() - started)));
}

/** One client: `{ id, query, args }` subscribes, `{ id, value }` is sent for each new result. */
function serve(socket) {
  const stops = [];
  socket.on("message", (data) => {
    const { id, args } = JSON.parse(data);
    const key = JSON.stringify(args);
    const cohort = cohorts.get(key) ?? { id: (next += 1), args: key, sends: new Set(), value: undefined };
    cohorts.set(key, cohort);
    const send = (value) => socket.send(`{"id":${Number(id)},"value":${value}}`);
    cohort.sends.add(send);
    if (cohort.value !== undefined) {
      send(cohort.value);
    } else if (cohort.sends.size === 1) {
      poll([cohort]).catch((error) => socket.close(1011, error.message.slice(0, 100)));
    }
    stops.push(() => {
      cohort.sends.delete(send);
      if (cohort.sends.size === 0) {
        cohorts.delete(key);
      }
    });
  });
  socket.on("close", () => stops.forEach((stop) => stop()));
  socket.on("error", () => socket.terminate());
}

process.on("disconnect", () => process.exit());
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 1024 });
server.on("connection", serve);
server.on("listening", () => process.send({ port: server.address().port }));
round();
