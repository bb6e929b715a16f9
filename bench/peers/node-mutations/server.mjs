// A server for transfers as it is commonly built by hand: a WebSocket in front, `pg` behind, one serializable
// transaction for each transfer, repeated when it lost against another one.
//
// VARIANT=roundtrips: the logic is here, its statements go to the database one by one. VARIANT=plpgsql: it is in the
// database, called once. Started by the bench as a child process; tells its port to its parent.
import { WebSocketServer } from "ws";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.POOL_SIZE ?? 32) });
const READ = { name: "read", text: "SELECT balance FROM accounts WHERE name = $1" };
const WRITE = { name: "write", text: "UPDATE accounts SET balance = $2 WHERE name = $1" };
const CALL = { name: "call", text: "SELECT transfer($1, $2, $3)" };
const isConflict = ({ code }) => code === "40001" || code === "40P01";

async function byRoundTrips(client, { from, to, amount }) {
  await client.query("BEGIN ISOLATION LEVEL SERIALIZABLE");
  try {
    const source = (await client.query({ ...READ, values: [from] })).rows[0];
    const target = (await client.query({ ...READ, values: [to] })).rows[0];
    if (source === undefined || target === undefined) {
      throw new Error("no such account");
    }
    await client.query({ ...WRITE, values: [from, source.balance - amount] });
    await client.query({ ...WRITE, values: [to, target.balance + amount] });
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}

/** An autocommitted statement; the session's default isolation level is serializable. */
const byFunction = (client, { from, to, amount }) => client.query({ ...CALL, values: [from, to, amount] });

const transfer = process.env.VARIANT === "plpgsql" ? byFunction : byRoundTrips;
if (process.env.VARIANT === "plpgsql") {
  pool.options.options = "-c default_transaction_isolation=serializable";
}

/** Until it has won; the connection is given back between two attempts. */
async function run(request) {
  for (let attempt = 0; ; attempt += 1) {
    const client = await pool.connect();
    try {
      return await transfer(client, request);
    } catch (error) {
      if (!isConflict(error)) {
        throw error;
      }
    } finally {
      client.release();
    }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(50, 2 ** attempt)));
  }
}

process.on("disconnect", () => process.exit());
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", async (data) => {
    const request = JSON.parse(data);
    try {
      await run(request);
      socket.send(JSON.stringify({ id: request.id }));
    } catch (error) {
      socket.close(1011, error.message.slice(0, 100));
    }
  });
});
server.on("listening", () => process.send({ port: server.address().port }));
