// Live queries as they are commonly built by hand: triggers that NOTIFY which topics were written,
// and a server that LISTENs, runs the queries of these topics again and sends what changed.
//
// With RERUN=table it runs all queries of the table again after each write, whatever was written: what is left to do if
// the trigger tells no more than the table.
//
// Started by the bench as a child process; tells its port to its parent.
import { WebSocketServer } from "ws";
import pg from "pg";
import { LiveQueries } from "./live-queries.mjs";

const CHANNEL = "entries";
/** What the trigger sends if the names of the topics are too long for a notification. */
const ALL = "*";

const connectionString = process.env.DATABASE_URL;
const pool = new pg.Pool({ connectionString, max: Number(process.env.POOL_SIZE ?? 4) });
pool.on("error", () => {}); // An idle connection was lost; the next query opens another one.
const queries = new LiveQueries(pool, (error) => console.error(`node-requery: ${error.message}`));

/** Listens, and again when the connection is lost: then anything may have been missed. */
async function listen() {
  const client = new pg.Client({ connectionString });
  const all = process.env.RERUN === "table";
  client.on("notification", ({ payload }) => (all || payload === ALL ? queries.touchAll() : queries.touch(JSON.parse(payload))));
  client.once("error", () => setTimeout(relisten, 200));
  await client.connect();
  await client.query(`LISTEN ${CHANNEL}`);
}

function relisten() {
  listen().then(
    () => queries.touchAll(),
    () => setTimeout(relisten, 200),
  );
}

/** One client: `{ id, query, args }` subscribes, `{ id, value }` is sent for each new result. */
function serve(socket) {
  const stops = [];
  socket.on("message", (data) => {
    try {
      const { id, query, args } = JSON.parse(data);
      stops.push(queries.subscribe(query, args, (value) => socket.send(`{"id":${Number(id)},"value":${value}}`)));
    } catch (error) {
      socket.close(1008, error.message.slice(0, 100));
    }
  });
  socket.on("close", () => stops.forEach((stop) => stop()));
  socket.on("error", () => socket.terminate());
}

process.on("disconnect", () => process.exit());
await listen();
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 1024 });
server.on("connection", serve);
server.on("listening", () => process.send({ port: server.address().port }));
