// Clients of Zero in one process, by Node 22. The bench sends `{ sessions: [[topic, ...], ...], url }`, and is sent `{ ready }`,
// then `{ topic, value, at }` for each value that a client shows; `at` is the machine's monotonic clock in milliseconds.
import { Zero } from "@rocicorp/zero";
import { queries, schema } from "./queries.mjs";

const now = () => Number(process.hrtime.bigint()) / 1e6;

/** Resolves once the server's first value of each is there. */
function open(url, topics, session) {
  const zero = new Zero({
    schema,
    cacheURL: url,
    userID: "bench",
    storageKey: `session ${session}`,
    kvStore: "mem",
    logLevel: "error",
    queryChangeThrottleMs: 0,
  });
  return Promise.all(topics.map((topic) => new Promise((resolve) => {
    const view = zero.materialize(queries.newest({ topic }));
    view.addListener((rows, state) => {
      const at = now();
      if (rows.length > 0) {
        const { n, body } = rows[0];
        process.send({ session, topic, value: { topic, n, body }, at });
      }
      if (state === "complete") {
        resolve();
      }
    });
  })));
}

process.on("disconnect", () => process.exit());
process.on("message", async ({ url, sessions }) => {
  for (let start = 0; start < sessions.length; start += 10) {
    await Promise.all(sessions.slice(start, start + 10).map((topics, n) => open(url, topics, start + n)));
  }
  process.send({ ready: true });
});
process.send({ started: true });
