// Subscribers that are connections of Postgres: each LISTENs to its topic and runs its query by itself when it is told.
// The bench sends `{ url, sessions }` and is sent what Zero's clients send.
import { createHash } from "node:crypto";
import pg from "pg";

const NEWEST = { name: "newest", text: "SELECT topic, n, body FROM entries WHERE topic = $1 ORDER BY id DESC LIMIT 1" };
const now = () => Number(process.hrtime.bigint()) / 1e6;

async function open(url, [topic], session) {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => process.exit(1));
  await client.connect();
  let [running, dirty] = [false, false];
  const refresh = async () => {
    dirty = true;
    if (running) {
      return;
    }
    running = true;
    while (dirty) {
      dirty = false;
      const { rows } = await client.query({ ...NEWEST, values: [topic] });
      process.send({ session, topic, value: rows[0], at: now() });
    }
    running = false;
  };
  client.on("notification", () => void refresh());
  await client.query(`LISTEN "t ${createHash("md5").update(topic).digest("hex")}"`);
  await refresh();
}

process.on("disconnect", () => process.exit());
process.on("message", async ({ url, sessions }) => {
  for (let start = 0; start < sessions.length; start += 10) {
    await Promise.all(sessions.slice(start, start + 10).map((topics, n) => open(url, topics, start + n)));
  }
  process.send({ ready: true });
});
process.send({ started: true });
