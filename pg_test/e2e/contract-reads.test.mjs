// What functions written against npm `convex` get from reads: each way to read, each option, each mistake.
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { ConvexHttpClient } from "convex/browser";
import { Server } from "../lib/server.mjs";

const APP = join(dirname(fileURLToPath(import.meta.url)), "reads-app");

/** @type {Server} */ let server;
/** @type {ConvexHttpClient} */ let http;
let db;
let item;
let other;
let storageId;
let jobId;

/** In the order of the index. */
const KINDS = [null, -1n, 5n, -Infinity, -1.5, -0, 0, 1, Number.NaN, false, true, "", "a", "a\u{10000}", "b", [], [1], {}, { a: 1 }];

const read = (name, arg = null) => http.query("reads:run", { name, arg });
const write = (name, arg = null) => http.mutation("reads:write", { name, arg });
const refused = (name, arg, expected) => assert.rejects(read(name, arg), expected);
const oneValue = async (sql, values) => Object.values((await db.query(sql, values)).rows[0])[0];

before(async () => {
  server = await Server.start({ source: APP });
  http = new ConvexHttpClient(server.url, { logger: false });
  db = server.sql();
  for (const rank of [1, 2, 3, 4, 5]) {
    await http.mutation("pages:add", { group: "numbers", ranks: [rank] });
  }
  await db.query(`UPDATE items SET "any" = '{"$integer": "CgAAAAAAAAA="}' WHERE rank >= 4`);
  item = await oneValue("SELECT _id FROM items WHERE rank = 1");
  other = await oneValue("INSERT INTO others(name) VALUES ('one') RETURNING _id");
  await db.query("INSERT INTO others(name) VALUES ('two')");
  storageId = await oneValue("SELECT live.new_id(540)");
  jobId = await oneValue("SELECT live.new_id(539)");
});

after(async () => {
  await server?.stop();
});

describe("db.get", () => {
  test("a document, by its id alone or with its table", async () => {
    const document = await read("get", item);
    assert.deepEqual([document._id, document.group, document.rank], [item, "numbers", 1]);
    assert.deepEqual(await read("getOf", ["items", item]), document);
    assert.deepEqual(await read("getOfTable", ["items", item]), document);
  });

  test("null for what does not exist", async () => {
    const unused = "SELECT live.new_id(number) FROM live.tables WHERE name = 'items'";
    assert.equal(await read("get", await oneValue(unused)), null);
    assert.equal(await read("get", await oneValue("SELECT live.new_id(99999)")), null);
  });

  test("what is not an id", async () => {
    for (const wrong of ["", "nonsense", item.slice(1), `${item}0`, item.toUpperCase(), `${item.slice(0, -1)}!`]) {
      await refused("get", wrong, /Invalid argument `id` for `db\.get`: Unable to decode ID: /);
    }
    await refused("get", 5, /Invalid argument `id` for `db\.get`, expected string but got 'number'/);
    await refused("systemGet", "nonsense", /Invalid argument `id` for `db\.system\.get`: Unable to decode ID: /);
  });

  test("an id of another table", async () => {
    const expected = /Invalid argument `id` for `db\.get`: expected to be an Id<"items">, got Id<"others"> instead\./;
    await refused("getOf", ["items", other], expected);
    await refused("getOfTable", ["items", other], expected);
  });
});

describe("the tables of the system", () => {
  test("exist and are empty", async () => {
    for (const [table, id] of [["_storage", storageId], ["_scheduled_functions", jobId]]) {
      assert.equal(await read("systemGet", id), null);
      assert.equal(await read("systemGetOf", [table, id]), null);
      assert.deepEqual(await read("systemQuery", table), []);
      assert.deepEqual(await read("systemRange", [table, "by_id"]), []);
      assert.deepEqual(await read("systemRange", [table, "by_creation_time"]), []);
      const { page, isDone } = await read("systemPage", table);
      assert.deepEqual([page, isDone], [[], true]);
      assert.equal(await read("systemCount", table), 0);
      assert.equal(await read("systemNormalizeId", [table, id]), id);
      assert.equal(await read("systemNormalizeId", [table, item]), null);
    }
    await refused("systemRange", ["_storage", "by_size"], /Index _storage\.by_size not found\./);
    await refused("systemQuery", "_tables", /There is no system table _tables/);
    await refused("systemGetOf", ["_storage", jobId], /expected to be an Id<"_storage">, got Id<"_scheduled_functions"> instead/);
  });

  test("are reached by db.system only, and nothing else is", async () => {
    await refused("get", storageId, /System tables can only be accessed with db\.system\./);
    await refused("getOf", ["_storage", storageId], /System tables can only be accessed with db\.system\./);
    await refused("systemGet", item, /User tables cannot be accessed with db\.system\./);
    await refused("queryTable", "_storage", /System tables can only be accessed from db\.system\.query\(\)/);
    await refused("systemQuery", "items", /User tables can only be accessed from db\.query\(\)/);
    await refused("normalizeId", ["_storage", storageId], /System tables can only be accessed from db\.system\.normalizeId\(\)/);
  });

  test("are read-only", async () => {
    for (const name of ["patch", "replace", "delete"]) {
      await assert.rejects(write(name, storageId), /_storage is a read-only table/);
    }
    await assert.rejects(write("insertInto", "_storage"), /read-only/);
  });

  test("their ids pass v.id, and no others do", async () => {
    await write("insertFile", { file: storageId, job: jobId });
    await assert.rejects(write("insertFile", { file: jobId }), /does not match the table name in validator `v\.id\("_storage"\)`/);
    await assert.rejects(write("insertFile", { file: item }), /Found ID ".*" from table `items`/);
    await assert.rejects(db.query("INSERT INTO files(file) VALUES ($1)", [jobId]), /v\.id\("_storage"\)/);
    await db.query("INSERT INTO files(file) VALUES ($1)", [storageId]);
  });
});

describe("scans and ranges", () => {
  test("a full scan is in the order of creation", async () => {
    assert.deepEqual(await read("names", null), ["one", "two"]);
    assert.deepEqual(await read("names", "asc"), ["one", "two"]);
    assert.deepEqual(await read("names", "desc"), ["two", "one"]);
  });

  test("a table that does not exist is empty; its own indexes do not exist", async () => {
    assert.deepEqual(await read("queryTable", "nowhere"), []);
    assert.deepEqual(await read("queryIndex", ["nowhere", "by_creation_time"]), []);
    assert.equal(await read("count", "nowhere"), 0);
    await refused("queryIndex", ["nowhere", "by_name"], /Index nowhere\.by_name not found\./);
  });

  test("bounds", async () => {
    assert.deepEqual(await read("between", [2, 4]), [3, 4]);
    assert.deepEqual(await read("from", 4), [4, 5]);
    assert.deepEqual(await read("below", 3), [2, 1]);
    assert.deepEqual(await read("from", null), [1, 2, 3, 4, 5]);
    assert.deepEqual(await read("from", "text"), []);
    assert.deepEqual(await read("below", 3n), []);
    assert.deepEqual(await read("andTime"), [3]);
  });

  test("the built-in indexes", async () => {
    assert.deepEqual(await read("byId", item), [1]);
    assert.deepEqual(await read("byId", "nothing"), []);
    const { _creationTime } = await read("unique", ["numbers", 4]);
    assert.deepEqual(await read("since", _creationTime), [4, 5]);
  });

  test("values of all types are ordered as the client's library orders them", async () => {
    for (const any of [...KINDS].reverse()) {
      await http.mutation("kinds:add", { any });
    }
    assert.deepEqual(await read("order"), KINDS);
    assert.equal(await read("absent"), 3);
  });

  test("mistakes with indexes", async () => {
    await refused("unknownIndex", null, /Index items\.by_nothing not found\./);
    await refused("stagedIndex", null, /Index items\.staged_rank is currently staged and not available to query until it is enabled/);
    await refused("searchIndexAsRange", null, /Index items\.search_group is a text index/);
    await refused("vectorIndexAsRange", null, /Index items\.vector_any is a vector index/);
    await refused("fieldNotInIndex", null, /FieldNotInIndex/);
    await refused("notAPrefix", null, /InvalidIndexRange/);
    await refused("boundAfterBound", null, /AlreadyDefinedBound/);
    await refused("boundAfterEquality", null, /AlreadyDefinedBound/);
    await refused("boundsOnTwoFields", null, /BoundsOnMultipleFields/);
  });

  test("text search is refused in words", async () => {
    await refused("search", null, /Text search is not available in pg_live yet/);
    await refused("searchOther", "by_any", /IndexNotASearchIndexError/);
    await refused("searchOther", "vector_any", /IndexNotASearchIndexError/);
    await refused("searchOther", "nothing", /Index items\.nothing not found\./);
    await refused("searchForNothing", null, /MissingSearchFilterError/);
  });
});

describe("filters", () => {
  const expected = {
    eq: [2], neq: [1, 3, 4, 5], lt: [1], lte: [1, 2], gt: [5], gte: [4, 5], and: [2, 3], or: [1, 5], not: [2, 3, 4, 5],
    add: [2], sub: [4], mul: [3], div: [5], mod: [2, 4], neg: [5], absent: [1, 2, 3], belowNull: [1, 2, 3],
    integer: [1, 2, 3, 4, 5], mixed: [], nested: [1, 2, 3, 4, 5],
  };
  for (const [name, ranks] of Object.entries(expected)) {
    test(name, async () => assert.deepEqual(await read("filter", name), ranks));
  }

  test("mistakes", async () => {
    await refused("filter", "integers", /Cannot compute the sum of undefined and 1/);
    await refused("filter", "overflow", /Integer overflow/);
    await refused("filter", "divisionByZero", /division by zero/);
    await refused("filter", "floatAndInteger", /both have to be float64 \(number\) or both int64 \(bigint\)/);
    await refused("filter", "text", /Cannot compute the sum of/);
    await refused("filter", "notBoolean", /Expected a boolean in the result of a filter, got 1/);
    await refused("filter", "notOfNumber", /Expected a boolean in `not`/);
    await refused("filter", "andOfNumber", /Expected a boolean in `and`/);
    await refused("filter", "badPath", /Invalid field path/);
  });

  test("256 of them, and not more", async () => {
    assert.equal(await read("manyOperators", 255), 1);
    await refused("manyOperators", 256, /too many operators: 257 > maximum 256/);
    await refused("manyOperators", 257, /more than 256 operators/);
  });
});

describe("ways to take documents", () => {
  test("first, unique, take, count", async () => {
    assert.equal((await read("first", "numbers")).rank, 1);
    assert.equal(await read("first", "none"), null);
    assert.equal((await read("unique", ["numbers", 3])).rank, 3);
    assert.equal(await read("unique", ["numbers", 3.5]), null);
    await refused("unique", ["numbers", null], /unique\(\) query returned more than one result from table items/);
    assert.deepEqual(await read("take", ["numbers", 0]), []);
    assert.deepEqual(await read("take", ["numbers", 2]), [1, 2]);
    assert.deepEqual(await read("take", ["numbers", 100]), [1, 2, 3, 4, 5]);
    assert.deepEqual(await read("takeFiltered", 3), [1, 3, 4]);
    await refused("take", ["numbers", -1], /must be a non-negative integer/);
    assert.equal(await read("count", "others"), 2);
  });

  test("iteration", async () => {
    assert.deepEqual(await read("iterate", 3), [1, 2, 3]);
    assert.deepEqual(await read("iterate", null), [1, 2, 3, 4, 5]);
    assert.deepEqual(await read("byHand"), [1, 2, false]);
    assert.deepEqual(await read("twoAtOnce"), [[1, 5], [2, 4], [3, 3]]);
    await refused("afterwards", null, /This query is closed and can't emit any more values/);
  });

  test("normalizeId", async () => {
    assert.equal(await read("normalizeId", ["items", item]), item);
    assert.equal(await read("normalizeId", ["others", item]), null);
    assert.equal(await read("normalizeId", ["nowhere", item]), null);
    assert.equal(await read("normalizeId", ["items", "nonsense"]), null);
    assert.equal(await read("normalizeId", ["items", ""]), null);
  });

  test("a mutation that writes while it reads meets what it wrote", async () => {
    assert.deepEqual(await write("writeWhileReading"), [1, 1.5, 2, 4]);
  });
});
