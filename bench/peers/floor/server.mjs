// The least that any server must do: it is told of a commit, reads one row by primary key, sends it.
//
// Started by the bench as a child process; tells its port to its parent.
import { WebSocketServer } from "ws";
import pg from "pg";

const connectionString = process.env.DATABASE_URL;
const reader = new pg.Client({ connectionString });
const listener = new pg.Client({ connectionString });
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });

listener.on("notification", async ({ payload }) => {
  const { rows } = await reader.query({
    name: "row",
    text: "SELECT to_json(f)::text AS value FROM floor_entries f WHERE id = $1",
    values: [payload],
  });
  for (const socket of server.clients) {
    socket.send(`{"id":0,"value":${rows[0].value}}`);
  }
});

process.on("disconnect", () => process.exit());
await reader.connect();
await listener.connect();
await listener.query("LISTEN floor");
process.send({ port: server.address().port });
