// The three real clients: npm `convex`, the crate, the PyPI package. What one writes the others see; each comes back
// after its relay was killed, and its mutations are done once.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { BaseConvexClient, ConvexHttpClient } from "convex/browser";
import { ConvexError } from "convex/values";
import { WebSocket } from "ws";
import { LiveClient } from "../lib/clients.mjs";
import { ForeignClient, isForgotten } from "../lib/foreign.mjs";
import { Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

/** @type {Server} */ let server;
let db;
const clients = [];

before(async () => {
  server = await Server.start({ ownRelay: true });
  db = server.sql();
});

after(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await server?.stop();
});

function opened(kind) {
  const client = kind === "npm" ? new LiveClient(server.url) : new ForeignClient(kind, server.url);
  clients.push(client);
  return client;
}

/** Encoded and decoded forms of what the clients are given and give back. */
const INT = { $integer: "AwAAAAAAAAA=" };
const VALUES = [null, true, 1.5, { $float: "AAAAAAAA+H8=" }, INT, "é\u{1F980}", { $bytes: "AAH/" }, [[], { a: { b: [INT] } }]];

for (const kind of ["rust", "python"]) {
  describe(kind, () => {
    test("values come back as they went", async () => {
      const client = opened(kind);
      for (const value of VALUES) {
        assert.deepEqual(await client.query("values:echo", { value }), value);
      }
    });

    test("what SQL, npm and the client itself write is shown", async () => {
      const [client, npm] = [opened(kind), opened("npm")];
      const channel = `${kind} live`;
      const shown = client.subscribe("messages:list", { channel });
      await shown.becomes("is empty", (list) => list.length === 0);
      await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'by SQL', $1)", [channel]);
      await shown.becomes("shows SQL's", ([newest]) => newest?.body === "by SQL");
      await npm.mutation("messages:send", { author: "npm", body: "by npm", channel });
      await shown.becomes("shows npm's", ([newest]) => newest.body === "by npm");
      const seen = npm.subscribe("messages:list", { channel });
      await client.mutation("messages:send", { author: kind, body: `by ${kind}`, channel });
      await seen.becomes("shows the client's", ([newest]) => newest?.body === `by ${kind}`);
      await shown.becomes("shows its own", ([newest]) => newest.body === `by ${kind}`);
      assert.deepEqual(shown.errors, []);
    });

    test("errors of functions, of queries that are live and of actions", async () => {
      const client = opened(kind);
      await assert.rejects(client.query("failures:plainErrorQuery"), /TypeError: a plain failure/);
      await assert.rejects(client.mutation("failures:convexErrorMutation", { body: "x" }), (error) => {
        assert.deepEqual(error.data, { code: "forbidden", detail: { tries: INT, list: ["a", 1] } });
        return true;
      });
      await assert.rejects(client.action("messages:act"), /[Aa]ctions are not available/);
      const poisoned = client.subscribe("failures:poisoned");
      await poisoned.becomes("has a value", () => true);
      await client.mutation("messages:send", { author: kind, body: "poison", channel: "poison" });
      await until("the error comes", () => poisoned.errors.length > 0);
      const before = poisoned.values.length;
      await client.mutation("messages:send", { author: kind, body: "well", channel: "poison" });
      await until("the value comes back", () => poisoned.values.length > before && poisoned.values.at(-1) === "well");
    });

    test("an administrator calls what is internal, others do not", async () => {
      const client = opened(kind);
      await assert.rejects(client.query("messages:secret"), /Could not find public function/);
      const admin = new ForeignClient(kind, `http://127.0.0.1:${server.port}`);
      clients.push(admin);
      await admin.admin(server.env.CONVEX_SELF_HOSTED_ADMIN_KEY);
      assert.equal(await admin.query("messages:secret"), "not for clients");
    });

    test("a result of 6 MB comes whole", async () => {
      const client = opened(kind);
      const channel = `${kind} large`;
      const shown = client.subscribe("messages:list", { channel });
      await db.query(
        "INSERT INTO messages(author, body, channel) SELECT 'psql', repeat('ä', 60000), $1 FROM generate_series(1, 50)",
        [channel],
      );
      const list = await shown.becomes("is whole", (list) => list.length === 50);
      assert.ok(list.every(({ body }) => body.length === 60_000));
    });

    // These clients name themselves anew with each connection. So what was committed, but not answered when the relay died,
    // is done again: nothing is lost, and what is shown is what is there.
    test("it comes back after the relay was killed, and nothing that it sends is lost", { timeout: 180_000 }, async () => {
      const client = opened(kind);
      const channel = `${kind} back`;
      const shown = client.subscribe("messages:count", { channel });
      await shown.becomes("has a value", (count) => count === 0);
      const sent = [];
      for (let n = 0; n < 40; n += 1) {
        sent.push(client.mutation("messages:send", { author: kind, body: `${n}`, channel }).catch((error) => {
          if (!isForgotten(error)) throw error;
        }));
        if (n === 20) {
          await server.killRelay();
          await server.startRelay();
        }
      }
      await Promise.all(sent);
      await until("all of it is there, and shown", async () => {
        const { rows } = await db.query("SELECT count(*)::int AS n, count(DISTINCT body)::int AS bodies FROM messages WHERE channel = $1", [channel]);
        return rows[0].bodies === 40 && shown.values.at(-1) === rows[0].n;
      }, { timeout: 60_000 });
    });
  });
}

describe("npm", () => {
  test("transitions of more than 5 MB come in parts, to those who know them", async () => {
    const kinds = { new: [], old: [] };
    const watching = (version, types) =>
      class extends WebSocket {
        constructor(url, ...args) {
          super(url.replace(/\/api\/[^/]+\/sync/, `/api/${version}/sync`), ...args);
          this.on("message", (data) => types.push([JSON.parse(data).type, data.length]));
        }
      };
    await db.query(
      "INSERT INTO messages(author, body, channel) SELECT 'psql', repeat('ä\"', 60000), 'npm large' FROM generate_series(1, 50)",
    );
    for (const [version, types] of [["1.48.0", kinds.new], ["1.27.0", kinds.old]]) {
      let shown;
      const client = new BaseConvexClient(
        server.url,
        () => (shown = client.localQueryResult("messages:list", { channel: "npm large" })),
        { webSocketConstructor: watching(version, types), unsavedChangesWarning: false, logger: false },
      );
      clients.push(client);
      client.subscribe("messages:list", { channel: "npm large" });
      await until("the result is shown", () => shown !== undefined, { timeout: 60_000 });
      assert.ok(shown.length === 50 && shown.every(({ body }) => body.length === 120_000));
    }
    const chunks = kinds.new.filter(([type]) => type === "TransitionChunk");
    assert.ok(chunks.length >= 2, JSON.stringify(kinds.new));
    assert.ok(chunks.every(([, length]) => length < 12 * 2 ** 20));
    assert.deepEqual(kinds.old.filter(([type]) => type !== "Ping").map(([type]) => type), ["Transition"]);
  });

  test("consistentQuery reads all at one timestamp, whatever is written meanwhile", async () => {
    const client = new ConvexHttpClient(server.url, { logger: false });
    const write = () => db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'x', 'consistent')");
    await write();
    const first = await client.consistentQuery("messages:count", { channel: "consistent" });
    assert.equal(first, 1);
    await write();
    assert.equal(await client.query("messages:count", { channel: "consistent" }), 2);
    assert.equal(await client.consistentQuery("messages:count", { channel: "consistent" }), 1);
    const later = new ConvexHttpClient(server.url, { logger: false });
    assert.equal(await later.consistentQuery("messages:count", { channel: "consistent" }), 2);
    // The relay of `pg-live dev` serves the same database: it reads at the other one's snapshot.
    const { ts } = await (await fetch(`${server.url}/api/query_ts`, { method: "POST" })).json();
    await write();
    const at = async (url, ts, path = "messages:count", args = { channel: "consistent" }) => {
      const response = await fetch(`${url}/api/query_at_ts`, { method: "POST", body: JSON.stringify({ path, args, ts }) });
      return [response.status, await response.json()];
    };
    const [status, { value }] = await at(`http://127.0.0.1:${server.port}`, ts);
    assert.deepEqual([status, value], [200, 2]);
    assert.equal((await at(server.url, ts, "failures:plainErrorQuery", {}))[1].status, "error");
    const unknown = Buffer.from([9, 9, 0, 0, 7, 0, 0, 0]).toString("base64");
    const [gone, { code }] = await at(server.url, unknown);
    assert.deepEqual([gone, code], [503, "OutOfRetention"]);
    assert.deepEqual((await at(server.url, "no timestamp"))[1].code, "InvalidTimestamp");
    await assert.rejects(client.consistentQuery("failures:convexErrorQuery"), ConvexError);
  });

  test("an idle database gives the same timestamp again; many askers do not take all connections", async () => {
    const ask = async () => {
      const response = await fetch(`${server.url}/api/query_ts`, { method: "POST" });
      return response.status;
    };
    const statuses = await Promise.all(Array.from({ length: 60 }, async (_, n) => {
      await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', $1, 'askers')", [`${n}`]);
      return await ask();
    }));
    assert.ok(statuses.every((status) => status === 200 || status === 503), `${statuses}`);
    assert.equal(await opened("npm").query("messages:count", { channel: "askers" }), 50);
  });
});
