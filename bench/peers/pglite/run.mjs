// Live queries of PGlite, a Postgres in WebAssembly in this process: how the time from a write to the result grows with the number
// of live queries of the table, of which one is hit. The bench sends `{ counts, rounds }` and is sent `[[count, ms], ...]`.
import { PGlite } from "@electric-sql/pglite";
import { live } from "@electric-sql/pglite/live";

const QUERY = "SELECT topic, n, body FROM entries WHERE topic = $1 ORDER BY id DESC LIMIT 1";

const median = (samples) => samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)];

async function curve({ counts, rounds }) {
  const db = await PGlite.create({ extensions: { live } });
  await db.exec("CREATE TABLE entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, n float8 NOT NULL, body text NOT NULL)");
  await db.exec("CREATE INDEX entries_by_topic ON entries (topic, id)");
  await db.query("INSERT INTO entries (topic, n, body) SELECT 'topic ' || t, 0, 'text' FROM generate_series(0, 999) AS t");
  const waiting = new Map();
  const points = [];
  let [opened, n] = [0, 0];
  for (const count of counts) {
    for (; opened < count; opened += 1) {
      const topic = `topic ${opened}`;
      await db.live.query(QUERY, [topic], ({ rows }) => {
        const wait = waiting.get(topic);
        if (wait !== undefined && rows[0]?.n === wait.n) {
          waiting.delete(topic);
          wait.resolve(performance.now());
        }
      });
    }
    const samples = [];
    for (let round = 0; round < rounds + 2; round += 1) {
      n += 1;
      const topic = `topic ${n % count}`;
      const shown = new Promise((resolve) => waiting.set(topic, { n, resolve }));
      const started = performance.now();
      await db.query("INSERT INTO entries (topic, n, body) VALUES ($1, $2, 'text')", [topic, n]);
      samples.push((await shown) - started);
    }
    points.push([count, median(samples.slice(2))]); // The first ones warm up.
  }
  return points;
}

process.on("disconnect", () => process.exit());
process.once("message", async (request) => process.send(await curve(request)));
process.send("started");
