// What convex/server promises about writes, limits and functions that call functions, by the real package.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConvexHttpClient } from "convex/browser";
import { ConvexError } from "convex/values";
import { LiveClient } from "../lib/clients.mjs";
import { Server } from "../lib/server.mjs";

/** @type {Server} */ let server;
/** @type {ConvexHttpClient} */ let http;
/** @type {LiveClient} */ let live;
let db;

before(async () => {
  server = await Server.start({ source: join(dirname(fileURLToPath(import.meta.url)), "writes-app") });
  http = new ConvexHttpClient(server.url, { logger: false });
  live = new LiveClient(server.url);
  db = server.sql();
});

after(async () => {
  await live?.close();
  await server?.stop();
});

const write = (...steps) => http.mutation("steps:write", { steps });
const read = (...steps) => http.query("steps:read", { steps });
/** The error of the last step, which must have one. */
async function refusal(...steps) {
  const { error } = (await write(...steps)).at(-1);
  assert.equal(typeof error, "string", "it was not refused");
  return error;
}
const item = (name, more = {}) => ({ name, rank: 1, ...more });
const unknownId = async (table = "items") => {
  const [{ ok: id }] = await write(["insert", table, table === "items" ? item("x") : { n: 1 }]);
  await write(["delete", id]);
  return id;
};

describe("insert", () => {
  test("gives an id and a creation time that grows", async () => {
    const results = await write(["insert", "items", item("a")], ["insert", "items", item("b")], ["get", "$0"], ["get", "$1"]);
    const [a, b] = results.slice(2).map(({ ok }) => ok);
    assert.equal(a._id, results[0].ok);
    assert.ok(a._creationTime < b._creationTime);
    assert.deepEqual(Object.keys(a).sort(), ["_creationTime", "_id", "name", "rank"]);
  });

  test("is seen by every index in the same mutation", async () => {
    const results = await write(
      ["insert", "items", item("own", { rank: 77 })],
      ["eq", "items", "by_name", "name", "own"],
      ["eq", "items", "by_rank", "rank", 77],
      ["from", "items", "by_rank", "rank", 77],
      ["eq", "items", "by_id", "_id", "$0"],
      ["newest", "items"],
      ["patch", "$0", { name: "renamed", rank: 78 }],
      ["eq", "items", "by_name", "name", "own"],
      ["eq", "items", "by_name", "name", "renamed"],
      ["delete", "$0"],
      ["eq", "items", "by_name", "name", "renamed"],
      ["get", "$0"],
    );
    const id = results[0].ok;
    const ids = ({ ok }) => [ok].flat().filter(Boolean).map((document) => document._id);
    assert.deepEqual(results.slice(1).map(ids), [[id], [id], [id], [id], [id], [], [], [id], [], [], []]);
  });

  test("refuses what the schema does not allow, and the mutation may go on", async () => {
    const results = await write(
      ["insert", "items", { name: "no rank" }],
      ["insert", "items", item(5)],
      ["insert", "items", item("x", { unknown: 1 })],
      ["insert", "items", item("goes on")],
    );
    const errors = results.slice(0, 3).map(({ error }) => error);
    for (const error of errors) {
      assert.match(error, /^Failed to insert or update a document in table "items" because it does not match the schema: /);
    }
    assert.match(errors[0], /missing the required field `rank`/);
    assert.match(errors[1], /Path: \.name\nValue: 5\.0\nValidator: v\.string\(\)/);
    assert.match(errors[2], /extra field `unknown`/);
    assert.equal(typeof results[3].ok, "string");
  });

  test("refuses ids of other tables in v.id()", async () => {
    const error = await refusal(["insert", "others", { n: 1 }], ["insert", "items", item("x", { other: "$0" })]);
    assert.match(error, /Found ID ".+" from table `others`, which does not match the table name in validator `v\.id\("items"\)`/);
  });

  test("refuses system tables, system fields and bad names", async () => {
    assert.match(await refusal(["insert", "_items", {}]), /System tables \(prefixed with `_`\) are read-only/);
    assert.match(await refusal(["raw", "1.0/insert", { table: "_items", value: {} }]), /Invalid table name _items starts with metadata prefix '_'/);
    assert.match(await refusal(["insert", "items", item("x", { _id: "y" })]), /_id/);
    assert.match(await refusal(["insert", "items", item("x", { _creationTime: 1 })]), /_creationTime/);
    assert.match(await refusal(["insert", "items", item("x", { extra: 1, _x: 1 })]), /_x/);
    assert.match(await refusal(["insert", "no-table", {}]), /no-table/);
    assert.match(await refusal(["raw", "1.0/insert", { table: "items", value: 5 }]), /Invalid argument `value` for `db\.insert`/);
    assert.match(await refusal(["raw", "1.0/insert", { value: {} }]), /Invalid argument `table` for `db\.insert`/);
  });

  test("holds the limits of values", async () => {
    let deep = 1;
    for (let n = 0; n < 16; n++) deep = [deep];
    assert.match(await refusal(["insert", "items", item("deep", { extra: deep })]), /too nested/);
    assert.match(await refusal(["insert", "items", item("x".repeat(1 << 20))]), /Value is too large \(1\.01 MiB > maximum size 1 MiB\)/);
    const raw = (extra) => refusal(["rawText", "1.0/insert", `{"table":"items","value":{"name":"x","rank":1,"extra":${extra}}}`]);
    assert.match(await raw('{"$bad":1,"more":2}'), /Field name \$bad starts with a '\$', which is reserved/);
    assert.match(await raw('{"$undefined":null}'), /undefined is not a valid Convex value/);
    assert.match(await raw('{"$integer":"AA=="}'), /Malformed \$integer/);
    assert.match(await raw("1e999"), /Invalid arguments|number/);
    assert.match(await raw('{"$commitTs":null}'), /commitTs/);
  });

  test("text that Postgres cannot hold ends the mutation", async () => {
    const withExtra = (extra) =>
      write(["rawText", "1.0/insert", `{"table":"items","value":{"name":"x","rank":1,"extra":${extra}}}`]);
    const refused = /field `extra` of a new document in table "items" holds a string with a NUL character/;
    await assert.rejects(write(["insert", "items", item("x", { extra: "a\0b" })]), refused);
    await assert.rejects(withExtra('"\\ud800"'), refused);
  });

  test("commit timestamps are refused", async () => {
    assert.match(await refusal(["commitTs", "others"]), /commitTs/);
    assert.match(await refusal(["snapshotTs"]), /getSnapshotTs/);
  });
});

describe("patch, replace, delete", () => {
  test("patch merges, removes with undefined, and writes nothing if nothing changes", async () => {
    const [{ ok: id }] = await write(["insert", "items", item("p", { note: "n", extra: { a: 1 } })]);
    const xmin = async () => (await db.query("SELECT xmin::text FROM items WHERE _id = $1", [id])).rows[0].xmin;
    const before = await xmin();
    await write(["patch", id, {}], ["patch", id, { name: "p", note: "n" }], ["patch", "items", id, { extra: { a: 1 } }]);
    assert.equal(await xmin(), before, "nothing was written");
    const results = await write(["patch", id, { note: "undefined", rank: 2 }], ["get", id], ["patch", id, { note: null }], ["get", id]);
    assert.deepEqual([results[1].ok.rank, "note" in results[1].ok, results[3].ok.note], [2, false, null]);
    assert.deepEqual(results[3].ok.extra, { a: 1 });
    assert.notEqual(await xmin(), before);
  });

  test("patch keeps to the schema, and cannot change system fields", async () => {
    const [{ ok: id }, { ok: document }] = await write(["insert", "items", item("p")], ["get", "$0"]);
    assert.match(await refusal(["patch", id, { rank: "undefined" }]), /Failed to insert or update a document in table "items".*missing the required field `rank`/s);
    assert.match(await refusal(["patch", id, { rank: "1" }]), /does not match the schema/);
    assert.match(await refusal(["patch", id, { _id: await unknownId() }]), /_id/);
    assert.match(await refusal(["patch", id, { _creationTime: 1 }]), /_creationTime/);
    assert.match(await refusal(["patch", id, { _creationTime: "undefined" }]), /_creationTime/);
    const [same] = await write(["patch", id, { _id: id, _creationTime: document._creationTime, rank: 9 }]);
    assert.deepEqual(same, { ok: null });
  });

  test("replace takes away what it does not name, and keeps the system fields", async () => {
    const [{ ok: id }, { ok: document }] = await write(["insert", "items", item("r", { note: "n" })], ["get", "$0"]);
    const results = await write(["replace", id, item("new")], ["get", id], ["replace", "items", id, { ...document, name: "again" }], ["get", id]);
    assert.deepEqual(results[1].ok, { ...item("new"), _id: id, _creationTime: document._creationTime });
    assert.deepEqual(results[3].ok, { ...document, name: "again" });
    assert.match(await refusal(["replace", id, item("x", { _id: await unknownId() })]), /_id/);
    assert.match(await refusal(["replace", id, item("x", { _creationTime: 5 })]), /_creationTime/);
    assert.match(await refusal(["replace", id, { name: "x" }]), /missing the required field `rank`/);
  });

  test("a document that is not there", async () => {
    const id = await unknownId();
    assert.match(await refusal(["patch", id, { rank: 1 }]), new RegExp(`^Update on nonexistent document ID ${id}`));
    assert.match(await refusal(["replace", id, item("x")]), new RegExp(`^Replace on nonexistent document ID ${id}`));
    assert.match(await refusal(["delete", id]), new RegExp(`^Delete on nonexistent document ID ${id}`));
    const [, , again] = await write(["insert", "items", item("x")], ["delete", "$0"], ["delete", "$0"]);
    assert.match(again.error, /^Delete on nonexistent document ID/);
  });

  test("ids that are none, and ids of another table", async () => {
    const id = await unknownId("others");
    for (const [operation, ...args] of [["patch", { rank: 1 }], ["replace", item("x")], ["delete"], ["get"]]) {
      assert.match(await refusal([operation, "nonsense", ...args]), new RegExp(`Invalid argument \`id\` for \`db\\.${operation}\`: Unable to decode ID: `));
      assert.match(await refusal([operation, "items", id, ...args]), /expected to be an Id<"items">, got Id<"others"> instead\./);
      assert.match(await refusal([operation, 5, ...args]), /id/);
    }
  });

  test("ids of system tables", async () => {
    const { rows } = await server.sql({ admin: true }).query("SELECT live.new_id(540) AS id");
    for (const [operation, ...args] of [["patch", {}], ["replace", {}], ["delete"]]) {
      assert.match(await refusal([operation, rows[0].id, ...args]), /^_storage is a read-only table/);
    }
  });

  test("by ctx.db.table()", async () => {
    const [{ ok }] = await write(["viaTable", "items", item("t")]);
    assert.deepEqual(ok, ["patched", "replaced", null]);
  });

  test("what was written stays or goes as a whole", async () => {
    const steps = [["insert", "items", item("whole")], ["patch", "$0", { rank: 5 }]];
    await assert.rejects(http.mutation("steps:writeAndThrow", { steps }), /after all steps/);
    assert.equal((await db.query("SELECT 1 FROM items WHERE name = 'whole'")).rowCount, 0);
  });

  test("queries cannot write", async () => {
    const id = await unknownId();
    const results = await read(
      ["raw", "1.0/insert", { table: "items", value: item("x") }],
      ["raw", "1.0/shallowMerge", { id, value: {} }],
      ["raw", "1.0/replace", { id, value: {} }],
      ["raw", "1.0/remove", { id }],
    );
    results.forEach(({ error }) => assert.match(error, /Writes are not allowed in queries/));
  });

  test("operations that there are not", async () => {
    assert.match(await refusal(["raw", "1.0/nonsense", {}]), /Unknown async operation 1\.0\/nonsense/);
    assert.match(await refusal(["rawSync", "1.0/nonsense", {}]), /Unknown operation 1\.0\/nonsense/);
  });
});

describe("tables that the schema does not name", () => {
  test("come with their first document", async () => {
    const results = await write(["all", "later"], ["insert", "later", { any: [1, "x"] }], ["all", "later"], ["get", "$1"]);
    assert.deepEqual(results[0].ok, []);
    assert.deepEqual(results[2].ok.map(({ any }) => any), [[1, "x"]]);
    const [again] = await write(["all", "later"]);
    assert.equal(again.ok.length, 1);
  });

  test("a failed mutation makes none", async () => {
    const steps = [["insert", "nevermade", { a: 1 }]];
    await assert.rejects(http.mutation("steps:writeAndThrow", { steps }), /after all steps/);
    assert.equal((await db.query("SELECT to_regclass('nevermade') AS made")).rows[0].made, null);
    assert.equal((await write(...steps, ["all", "nevermade"]))[1].ok.length, 1);
  });

  test("many first documents at once all get in", async () => {
    for (const table of ["race1", "race2", "race3"]) {
      const inserts = Array.from({ length: 6 }, (_, n) => write(["insert", table, { n }]));
      for (const [{ ok }] of await Promise.all(inserts)) {
        assert.equal(typeof ok, "string");
      }
      assert.equal((await db.query(`SELECT 1 FROM ${table}`)).rowCount, 6);
    }
    const mixed = Array.from({ length: 6 }, (_, n) => write(["insert", `mixed${n % 3}`, { n }], ["insert", `mixed${(n + 1) % 3}`, { n }]));
    await Promise.all(mixed);
    const { rows } = await db.query("SELECT (SELECT count(*) FROM mixed0) + (SELECT count(*) FROM mixed1) + (SELECT count(*) FROM mixed2) AS n");
    assert.equal(Number(rows[0].n), 12);
  });
});

describe("functions that call functions", () => {
  test("by reference, name and handle", async () => {
    const { handleText, ...ways } = await http.mutation("calls:ways", {});
    const { reference } = ways;
    assert.deepEqual(ways, { reference, name: reference, made: reference, handle: reference, stable: true });
    assert.match(handleText, /^function:\/\/[0-9a-f]+#calls:names$/);
    assert.equal((await http.mutation("calls:callHandle", { handle: handleText })).length, reference);
    await assert.rejects(http.mutation("calls:callHandle", { handle: `function://${"0".repeat(32)}#calls:names` }), /Function handle .* is not known/);
    await assert.rejects(http.query("calls:names", {}), /Could not find public function/);
  });

  test("a failed mutation undoes its own writes only, and its error can be caught", async () => {
    const prefix = "sub";
    const { plain, data } = await http.mutation("calls:subtransactions", { prefix });
    assert.match(plain, /^Uncaught TypeError: kaboom\n    at .*calls\.ts:\d+:\d+/);
    assert.deepEqual(data, { code: 7n });
    const { rows } = await db.query("SELECT name FROM items WHERE name LIKE $1 ORDER BY name", [`${prefix} %`]);
    assert.deepEqual(rows.map(({ name }) => name), ["sub inner", "sub outer"]);
  });

  test("errors that nobody catches say where they came through", async () => {
    await assert.rejects(http.mutation("calls:twice", {}), (error) => {
      assert.match(error.message, /Uncaught Error: Uncaught Error: Uncaught TypeError: kaboom\n    at [\s\S]*\n\n    at [\s\S]*\n\n    at /);
      return true;
    });
    await assert.rejects(http.mutation("calls:dataThrough", {}), (error) => {
      assert.ok(error instanceof ConvexError);
      assert.deepEqual(error.data, { code: 7n });
      return true;
    });
    assert.equal((await db.query("SELECT 1 FROM items WHERE name = 'never'")).rowCount, 0);
  });

  test("several at once run one after another, in the order of the calls", async () => {
    assert.deepEqual(await http.mutation("calls:parallel", { prefix: "par" }), [0, null, 1, null, 2]);
  });

  test("a stale snapshot sees none of the mutation's writes", async () => {
    assert.deepEqual(await http.mutation("calls:stale", {}), [0, 1]);
    await assert.rejects(http.query("calls:staleInQuery", {}), /only supported in mutations/);
  });

  test("at most 8 deep", async () => {
    assert.equal(await http.query("calls:down", { n: 8 }), "bottom");
    await assert.rejects(http.query("calls:down", { n: 9 }), /Cross component call depth limit exceeded\. Do you have an infinite loop in your app\?/);
  });

  test("arguments, results and kinds are checked", async () => {
    const errors = await http.mutation("calls:wrongly", {});
    assert.match(errors.arguments, /^ArgumentValidationError: Value does not match validator\.\nPath: \.name/);
    assert.match(errors.extra, /^ArgumentValidationError: Object contains extra field `more`/);
    assert.match(errors.kind, /^Trying to execute calls\.js:add as Query, but it is defined as Mutation\./);
    assert.match(errors.missing, /Could not find function for 'calls:nothing'/);
    assert.match(errors.returns, /^ReturnsValidationError: /);
    assert.match(errors.syntax, /not a valid path/);
  });

  test("they share the clock, not the random numbers", async () => {
    assert.deepEqual(await http.query("calls:sameTime", {}), [1, 3]);
  });

  test("a live query follows what the queries that it called have read", async () => {
    const client = new LiveClient(server.url);
    try {
      const names = client.subscribe("calls:namesBelow", {});
      const pointed = client.subscribe("calls:pointed", { name: "pointer" });
      const caught = client.subscribe("calls:caught", {});
      await names.ready();
      await pointed.becomes("is null", (value) => value === null);
      await caught.becomes("is good", (value) => value === "all good");
      const target = (await client.mutation("steps:write", { steps: [["insert", "items", item("target")]] }))[0].ok;
      await names.becomes("has it", (value) => value.includes("target"));
      await client.mutation("steps:write", { steps: [["insert", "items", item("pointer", { other: target })]] });
      await pointed.becomes("points", (value) => value === "target");
      await db.query("UPDATE items SET name = 'aim' WHERE _id = $1", [target]);
      await pointed.becomes("follows", (value) => value === "aim");
      await names.becomes("follows", (value) => value.includes("aim") && !value.includes("target"));
      await db.query("UPDATE items SET name = 'bad' WHERE _id = $1", [target]);
      await caught.becomes("is caught", (value) => value === "caught");
      await db.query("DELETE FROM items WHERE _id = $1", [target]);
      await caught.becomes("is good again", (value) => value === "all good");
      await pointed.becomes("is null again", (value) => value === null);
      assert.deepEqual([...names.errors, ...pointed.errors, ...caught.errors], []);
    } finally {
      await client.close();
    }
  });

  test("log lines are in the order of the calls", async () => {
    const lines = [];
    const logger = { log: (...args) => lines.push(args.join(" ")), warn() {}, error() {}, logVerbose() {} };
    const client = new ConvexHttpClient(server.url, { logger });
    await client.mutation("calls:parallel", { prefix: "log" });
    const logged = lines.join("\n");
    assert.ok(logged.indexOf("log 1") >= 0 && logged.indexOf("log 1") < logged.indexOf("log 2"), logged);
  });
});

describe("limits and figures", () => {
  test("a call may be given tighter limits", async () => {
    const tight = await http.mutation("calls:limited", { limits: { documentsRead: 0, documentsWritten: 0 } });
    assert.match(tight.names, /Too many documents read in a single function execution \(limit: 0\)/);
    assert.match(tight.add, /Too many documents written in a single function execution \(limit: 0\)/);
    const wide = await http.mutation("calls:limited", { limits: { documentsRead: 1e9, bytesRead: 1e12 } });
    assert.deepEqual(wide, { names: "not refused", add: "not refused" });
    const wrong = await http.mutation("calls:limited", { limits: { documentsEaten: 1 } });
    assert.match(wrong.names, /no limit named documentsEaten/);
  });

  test("ctx.meta", async () => {
    const { deployment, own, request, nested, metrics } = await http.mutation("calls:metas", {});
    assert.equal(typeof deployment.name, "string");
    assert.deepEqual([deployment.region, deployment.class], [null, "s16"]);
    assert.deepEqual(own, { name: "calls:metas", componentPath: "", type: "mutation", visibility: "public" });
    assert.deepEqual(nested[0], { name: "calls:meta", componentPath: "", type: "mutation", visibility: "internal" });
    assert.deepEqual(nested[1], request);
    assert.deepEqual(Object.keys(request).sort(), ["authToken", "ip", "requestId", "scheduledFunctionId", "userAgent"]);
    assert.deepEqual([request.authToken, request.scheduledFunctionId], [null, null]);
    assert.deepEqual(Object.keys(metrics).sort(), [
      "bytesRead", "bytesWritten", "databaseQueries", "documentsRead", "documentsWritten", "fileReadBytes",
      "fileWriteBytes", "filesRead", "filesWritten", "functionsScheduled", "scheduledFunctionArgsBytes",
    ]);
    assert.deepEqual(metrics.documentsWritten, { used: 0, remaining: 16_000 });
  });
});
