// The order of index keys against the order of the npm package, which optimistic updates of pages rely on.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { compareValues, convexToJson } from "convex/values";
import { random, SEED } from "../lib/random.mjs";
import { Server } from "../lib/server.mjs";

const VALUES = 800;

/** @type {Server} */ let server;
let db;

before(async () => {
  server = await Server.start();
  db = server.sql({ max: 1 });
});

after(() => server?.stop());

/** A value out of few, so that neighbours are frequent; `undefined` at the top only. */
function anyValue(next, depth = 0) {
  const one = (list) => list[Math.floor(next() * list.length)];
  const list = () => Array.from({ length: Math.floor(next() * 4) }, () => anyValue(next, depth + 1));
  const kinds = [
    () => (depth === 0 ? undefined : null),
    () => null,
    () => one([0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), BigInt(Math.floor(next() * 1000))]),
    () => one([0, -0, 1, -1, 1.5, 5e-324, -5e-324, Infinity, -Infinity, Number.NaN, next() * 1e9]),
    () => next() < 0.5,
    () => Array.from({ length: Math.floor(next() * 4) }, () => one(["\u0001", "a", "b", "é", "\uff61", "\u{1f600}"])).join(""),
    () => new Uint8Array(Array.from({ length: Math.floor(next() * 4) }, () => one([0, 1, 127, 128, 255]))).buffer,
    list,
    () => Object.fromEntries(list().map((value) => [one(["a", "aa", "b", "B", ""]), value])),
  ];
  return (depth < 3 ? one(kinds) : one(kinds.slice(0, 7)))();
}

test("keys of indexes are ordered as compareValues() of npm orders values", async () => {
  const next = random(SEED);
  const values = Array.from({ length: VALUES }, () => anyValue(next));
  const documents = values.map((value) => (value === undefined ? {} : { f: convexToJson(value) }));
  const { rows } = await db.query(
    `SELECT live.index_key_v1(document, 'f'::text, NULL::text, 0::float8, ''::text) AS key
     FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS each (document, n) ORDER BY n`,
    [JSON.stringify(documents)],
  );
  for (const [i, left] of values.entries()) {
    for (const [j, right] of values.entries()) {
      const wanted = Math.sign(compareValues(left, right));
      if (Math.sign(Buffer.compare(rows[i].key, rows[j].key)) !== wanted) {
        const [a, b] = [documents[i], documents[j]].map((document) => JSON.stringify(document));
        assert.fail(`PG_LIVE_SEED=${SEED}: compareValues(${a}, ${b}) is ${wanted}`);
      }
    }
  }
});
