// A relay that is stopped while a client has mutations under way: what it has taken it answers and shows before it
// closes; what it has not taken is not done, and can be sent to another relay.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { RawClient } from "../lib/raw-client.mjs";
import { startRelay } from "../lib/relay.mjs";
import { Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

/** @type {Server} */ let server;

before(async () => {
  server = await Server.start();
});

after(async () => {
  await server?.stop();
});

test("mutations that were taken are answered, the others are not done", async () => {
  const relay = await startRelay(server, { name: "drained", args: ["--drain-delay", "0", "--drain-spread", "0"] });
  const client = new RawClient(relay.url);
  await client.opened;
  client.modify([["messages:list", { channel: "drain" }]]);
  await client.until("the query is shown", () => client.values.size === 1);
  const db = server.sql();
  const lock = await db.connect();
  try {
    await lock.query("BEGIN; LOCK TABLE messages IN SHARE ROW EXCLUSIVE MODE");
    const send = (body) => client.mutate("messages:send", { author: "a", body, channel: "drain" });
    const answers = [send("before")];
    await until("the mutation waits for the lock", async () => {
      const { rows } = await lock.query("SELECT FROM pg_locks WHERE relation = 'messages'::regclass AND NOT granted");
      return rows.length > 0;
    });
    const stopped = relay.stop();
    await until("the relay drains", async () => /stopping/.test(await readFile(relay.log, "utf8")));
    answers.push(send("after"));
    await lock.query("COMMIT");
    const [first, second] = await Promise.allSettled(answers);
    assert.equal(first.status, "fulfilled", first.reason?.message);
    assert.equal(await stopped, 0);
    const { rows } = await db.query("SELECT body FROM messages WHERE channel = 'drain' ORDER BY \"_creationTime\"");
    assert.deepEqual(rows.map(({ body }) => body), second.status === "fulfilled" ? ["before", "after"] : ["before"]);
    if (second.status === "rejected") {
      assert.match(second.reason.message, /the server closed: 1012|the server closed: 1001/);
    }
  } finally {
    lock.release();
    client.socket.terminate();
  }
});
