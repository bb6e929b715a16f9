// Queries and mutations by both clients, and what a client is told when it asks for something impossible.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ConvexHttpClient } from "convex/browser";
import { ConvexError } from "convex/values";
import { LiveClient } from "../lib/clients.mjs";
import { Server } from "../lib/server.mjs";

/** @type {Server} */ let server;
/** @type {ConvexHttpClient} */ let http;
/** @type {LiveClient} */ let live;
let db;

before(async () => {
  server = await Server.start();
  http = new ConvexHttpClient(server.url, { logger: false });
  live = new LiveClient(server.url);
  db = server.sql();
});

after(async () => {
  await live?.close();
  await server?.stop();
});

/** One name per way to call, so that each case runs over HTTP and over the WebSocket. */
const ways = () => ({
  http: { query: (name, args = {}) => http.query(name, args), mutation: (name, args = {}) => http.mutation(name, args) },
  websocket: { query: (name, args) => live.query(name, args), mutation: (name, args) => live.mutation(name, args) },
});

for (const way of ["http", "websocket"]) {
  const call = () => ways()[way];

  describe(`over ${way}`, () => {
    test("a mutation writes a row that SQL and queries see", async () => {
      const id = await call().mutation("messages:send", { author: "ada", body: `by ${way}`, channel: way });
      const { rows } = await db.query('SELECT _id, author, body, channel, "_creationTime" AS at FROM messages WHERE _id = $1', [id]);
      assert.equal(rows.length, 1);
      assert.deepEqual([rows[0].author, rows[0].body, rows[0].channel], ["ada", `by ${way}`, way]);
      assert.ok(Math.abs(rows[0].at - Date.now()) < 60_000);
      const document = await call().query("messages:get", { id });
      assert.deepEqual(document, { _id: id, _creationTime: rows[0].at, author: "ada", body: `by ${way}`, channel: way });
    });

    test("patch and delete reach the table", async () => {
      const id = await call().mutation("messages:send", { author: "ada", body: "first" });
      await call().mutation("messages:edit", { id, body: "second" });
      assert.deepEqual((await db.query("SELECT body FROM messages WHERE _id = $1", [id])).rows, [{ body: "second" }]);
      await call().mutation("messages:remove", { id });
      assert.equal((await db.query("SELECT 1 FROM messages WHERE _id = $1", [id])).rowCount, 0);
      assert.equal(await call().query("messages:get", { id }), null);
    });

    test("values of every type come back as they went", async () => {
      const values = [
        null, true, 0, -1.5, 1e300, 2n ** 62n, -(2n ** 63n), "", "ünï ☂ 🎈 \" \\ \n", [],
        [1, [2n, null]], {}, { a: { b: ["c"] } },
      ];
      for (const value of values) {
        assert.deepEqual(await call().query("values:echo", { value }), value);
      }
      for (const value of [-0, Number.NaN, Infinity, -Infinity]) {
        assert.ok(Object.is(await call().query("values:echo", { value }), value), `echo of ${value}`);
      }
      const bytes = await call().query("values:echo", { value: new Uint8Array([0, 255, 7]).buffer });
      assert.deepEqual([...new Uint8Array(bytes)], [0, 255, 7]);
    });

    test("a document with a field of every type is stored exactly", async () => {
      const document = {
        text: "é", number: -0.1, int: -7n, flag: false, bytes: new Uint8Array([1, 0, 2]).buffer,
        list: ["x", 2], nested: { b: null }, maybe: null, any: { deep: [1n, null, "s"] },
      };
      const { _id, _creationTime, ...stored } = await call().mutation("values:store", document);
      assert.equal(typeof _id, "string");
      assert.equal(typeof _creationTime, "number");
      assert.deepEqual({ ...stored, bytes: [...new Uint8Array(stored.bytes)] }, { ...document, bytes: [1, 0, 2] });
      const { rows } = await db.query("SELECT text, number, int::text, flag FROM everything WHERE _id = $1", [_id]);
      assert.deepEqual(rows[0], { text: "é", number: -0.1, int: "-7", flag: false });
    });

    test("the data of a ConvexError arrives, and its writes do not stay", async () => {
      const data = { code: "forbidden", detail: { tries: 3n, list: ["a", 1] } };
      const isIt = (error) => error instanceof ConvexError && assert.deepEqual(error.data, data) === undefined;
      await assert.rejects(call().query("failures:convexErrorQuery"), isIt);
      await assert.rejects(call().mutation("failures:convexErrorMutation", { body: way }), isIt);
      assert.equal((await db.query("SELECT 1 FROM messages WHERE author = 'failures'")).rowCount, 0);
    });

    test("a plain exception arrives with its place in the source, and its writes do not stay", async () => {
      await assert.rejects(call().query("failures:plainErrorQuery"), (error) => {
        assert.ok(!(error instanceof ConvexError));
        assert.match(error.message, /Uncaught TypeError: a plain failure/);
        assert.match(error.message, /failures\.ts:\d+:\d+/);
        return true;
      });
      await assert.rejects(call().mutation("failures:plainErrorMutation", { body: way }), /a plain failure after a write/);
      assert.equal((await db.query("SELECT 1 FROM messages WHERE author = 'failures'")).rowCount, 0);
    });

    test("an unknown function is named", async () => {
      await assert.rejects(call().query("messages:nothing"), /Could not find public function for 'messages:nothing'/);
      await assert.rejects(call().query("nothing:list"), /Could not find public function for 'nothing:list'/);
      await assert.rejects(call().mutation("nothing:send"), /Could not find public function for 'nothing:send'/);
    });

    test("an internal function is not there for clients", async () => {
      await assert.rejects(call().query("messages:secret"), /Could not find public function for 'messages:secret'/);
    });

    test("a mutation cannot be run as a query, nor a query as a mutation", async () => {
      const args = { author: "a", body: "b" };
      await assert.rejects(call().query("messages:send", args), /messages\.js:send.*as Query.*defined as Mutation/);
      await assert.rejects(call().mutation("messages:list"), /messages\.js:list.*as Mutation.*defined as Query/);
    });

    test("arguments that fail the validator are told which and why", async () => {
      await assert.rejects(call().mutation("messages:send", { author: "ada" }), /ArgumentValidationError[\s\S]*body/);
      await assert.rejects(call().mutation("messages:send", { author: "ada", body: 5 }), /ArgumentValidationError[\s\S]*v\.string\(\)/);
      await assert.rejects(call().query("messages:list", { chanel: "x" }), /ArgumentValidationError[\s\S]*chanel/);
      await assert.rejects(call().query("messages:get", { id: "not an id" }), /ArgumentValidationError[\s\S]*v\.id\("messages"\)/);
    });

    test("a return value that fails the validator is an error", async () => {
      await assert.rejects(call().query("failures:wrongReturn"), /ReturnsValidationError/);
    });

    test("after all that the server still answers", async () => {
      assert.equal(await call().query("values:echo", { value: "still here" }), "still here");
    });
  });
}

test("HTTP answers are in the documented form", async () => {
  const post = async (body) => {
    const response = await fetch(`${server.url}/api/query`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    return { status: response.status, body: await response.text() };
  };
  const echo = await post({ path: "values:echo", args: { value: { $integer: "AQAAAAAAAAA=" } }, format: "convex_encoded_json" });
  assert.equal(echo.status, 200);
  const { status, value } = JSON.parse(echo.body);
  assert.deepEqual({ status, value }, { status: "success", value: { $integer: "AQAAAAAAAAA=" } });

  const failure = await post({ path: "failures:convexErrorQuery", args: [{}], format: "convex_encoded_json" });
  assert.equal(failure.status, 200);
  assert.equal(JSON.parse(failure.body).status, "error");
  const plain = JSON.parse((await post({ path: "failures:plainErrorQuery", args: [{}] })).body);
  assert.ok(!("errorData" in plain), "errorData is absent for a plain error");

  for (const bad of ["", "{", "[]", '{"path":5}', '{"args":[{}]}']) {
    const answer = await post(bad);
    assert.ok(answer.status >= 400 && answer.status < 500, `${bad}: ${answer.status}`);
    assert.ok(answer.body.length > 0);
  }
  assert.equal((await fetch(`${server.url}/version`)).status, 200);
});

test("a query in the middle of the WebSocket's query set may fail without harming the others", async () => {
  const client = new LiveClient(server.url);
  try {
    const good = client.subscribe("messages:count", { channel: "beside" });
    const bad = client.subscribe("failures:convexErrorQuery");
    await good.becomes("has a value", () => true);
    while (bad.errors.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.ok(bad.errors[0] instanceof ConvexError);
    await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'x', 'beside')");
    await good.becomes("is 1", (count) => count === 1);
  } finally {
    await client.close();
  }
});

test("what a trigger leaves in the session of a mutation is not in that of another", async () => {
  await db.query(`CREATE FUNCTION leaves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      NEW.body := coalesce(nullif(current_setting('app.left', true), ''), 'clean');
      PERFORM set_config('app.left', 'left', false);
      RETURN NEW;
    END $$;
    CREATE TRIGGER leaves BEFORE INSERT ON messages FOR EACH ROW WHEN (NEW.channel = 'leaves') EXECUTE FUNCTION leaves()`);
  for (let n = 0; n < 8; n += 1) await http.mutation("messages:send", { author: "ada", body: "x", channel: "leaves" });
  const { rows } = await db.query("SELECT DISTINCT body FROM messages WHERE channel = 'leaves'");
  assert.deepEqual(rows, [{ body: "clean" }]);
  await db.query("DROP TRIGGER leaves ON messages");
});

test("queries of ordinary modules share a context", async () => {
  const { rows } = await db.query(
    `SELECT DISTINCT module, context, reason FROM live.functions WHERE kind = 'Query' AND context <> 'guarded'
     AND deployment = (SELECT deployment FROM live.active)`,
  );
  assert.deepEqual(rows, []);
});
