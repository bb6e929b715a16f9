// Pages: what `paginate()` gives for every option, and pages that stay gapless while rows come and go.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { ConvexHttpClient } from "convex/browser";
import { ConvexError } from "convex/values";
import { LiveClient } from "../lib/clients.mjs";
import { random, SEED } from "../lib/random.mjs";
import { copyApp, Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const APP = join(dirname(fileURLToPath(import.meta.url)), "reads-app");

/** @type {Server} */ let server;
/** @type {ConvexHttpClient} */ let http;
let db;

before(async () => {
  server = await Server.start({ source: APP, ownRelay: true });
  http = new ConvexHttpClient(server.url, { logger: false });
  db = server.sql();
});

after(async () => {
  await server?.stop();
});

/** Fills a group with items of rank 1 to `count`. */
async function fill(group, count, hidden = () => false) {
  for (let rank = 1; rank <= count; rank++) {
    await db.query('INSERT INTO items("group", rank, hidden) VALUES ($1, $2, $3)', [group, rank, hidden(rank) || null]);
  }
}

const ranks = (page) => page.map(({ rank }) => rank);
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => from + n);
const options = (numItems, cursor = null, more = {}) => ({ numItems, cursor, ...more });

const isInvalidCursor = (error) => {
  assert.ok(error instanceof ConvexError, `${error}`);
  assert.deepEqual(error.data, { isConvexSystemError: true, paginationError: "InvalidCursor" });
  return true;
};

/** All pages of a query, one after another. */
async function pagesOf(name, args, numItems, more) {
  const pages = [];
  for (let cursor = null; ; cursor = pages.at(-1).continueCursor) {
    pages.push(await http.query(name, { ...args, paginationOpts: options(numItems, cursor, more) }));
    if (pages.at(-1).isDone) {
      return pages;
    }
    assert.ok(pages.length < 1000, "the pages come to an end");
  }
}

describe("one page after another", () => {
  before(() => fill("seven", 7));

  test("cover a range once, in both orders", async () => {
    const up = await pagesOf("pages:list", { group: "seven" }, 3);
    assert.deepEqual(up.map(({ page }) => ranks(page)), [[1, 2, 3], [4, 5, 6], [7]]);
    assert.deepEqual(up.map(({ isDone }) => isDone), [false, false, true]);
    const down = await pagesOf("pages:list", { group: "seven", desc: true }, 3);
    assert.deepEqual(down.map(({ page }) => ranks(page)), [[7, 6, 5], [4, 3, 2], [1]]);
  });

  test("a page that is just full says that there may be more", async () => {
    const pages = await pagesOf("pages:list", { group: "seven" }, 7);
    assert.deepEqual(pages.map(({ page, isDone }) => [page.length, isDone]), [[7, false], [0, true]]);
    assert.ok(pages.every(({ continueCursor }) => typeof continueCursor === "string" && continueCursor !== ""));
  });

  test("an empty range is one empty page, and the end stays the end", async () => {
    const [page, ...others] = await pagesOf("pages:list", { group: "none" }, 3);
    assert.deepEqual([page.page, page.isDone, page.splitCursor, page.pageStatus, others], [[], true, null, null, []]);
    const behind = await http.query("pages:list", { group: "none", paginationOpts: options(3, page.continueCursor) });
    assert.deepEqual([behind.page, behind.isDone, behind.continueCursor], [[], true, page.continueCursor]);
  });

  test("the built-in indexes can be paged", async () => {
    for (const index of ["by_creation_time", "by_id"]) {
      const pages = await pagesOf("pages:all", { index }, 2);
      const ids = pages.flatMap(({ page }) => page.map(({ _id }) => _id));
      const order = index === "by_id" ? "_id" : '"_creationTime", _id';
      const { rows } = await db.query(`SELECT _id FROM items ORDER BY ${order}`);
      assert.deepEqual(ids, rows.map(({ _id }) => _id));
    }
  });

  test("a filter does not make pages short", async () => {
    await fill("sparse", 20, (rank) => rank % 5 !== 0);
    const pages = await pagesOf("pages:shown", { group: "sparse" }, 2);
    assert.deepEqual(pages.map(({ page }) => ranks(page)), [[5, 10], [15, 20], []]);
  });

  test("a page of a mutation sees what it wrote", async () => {
    const { page } = await http.mutation("pages:inMutation", { group: "seven!", paginationOpts: options(3) });
    assert.deepEqual(ranks(page), [0]);
  });
});

describe("options", () => {
  before(() => fill("ten", 10, (rank) => rank % 2 === 1));

  test("endCursor: everything up to there, whatever the size", async () => {
    const first = await http.query("pages:list", { group: "ten", paginationOpts: options(6) });
    const again = await http.query("pages:list", { group: "ten", paginationOpts: options(1, null, { endCursor: first.continueCursor }) });
    assert.deepEqual([ranks(again.page), again.continueCursor, again.isDone], [range(1, 6), first.continueCursor, false]);
    const half = { endCursor: first.splitCursor };
    const left = await http.query("pages:list", { group: "ten", paginationOpts: options(1, null, half) });
    const rest = { endCursor: first.continueCursor };
    const right = await http.query("pages:list", { group: "ten", paginationOpts: options(1, first.splitCursor, rest) });
    assert.deepEqual([ranks(left.page), ranks(right.page)], [[1, 2, 3], [4, 5, 6]]);
  });

  test("maximumRowsRead counts rows before filters, and a page cut short must be split", async () => {
    const page = await http.query("pages:shown", { group: "ten", paginationOpts: options(5, null, { maximumRowsRead: 4 }) });
    assert.deepEqual([ranks(page.page), page.pageStatus, page.isDone], [[2, 4], "SplitRequired", false]);
    const pages = await pagesOf("pages:shown", { group: "ten" }, 5, { maximumRowsRead: 3 });
    assert.deepEqual(pages.flatMap(({ page }) => ranks(page)), [2, 4, 6, 8, 10]);
    const end = (await http.query("pages:shown", { group: "ten", paginationOpts: options(4) })).continueCursor;
    const bounded = options(1, null, { endCursor: end, maximumRowsRead: 5 });
    const short = await http.query("pages:shown", { group: "ten", paginationOpts: bounded });
    assert.deepEqual([ranks(short.page), short.pageStatus, short.continueCursor], [[2, 4], "SplitRequired", end]);
    const halves = [[null, short.splitCursor], [short.splitCursor, end]].map(([cursor, endCursor]) =>
      http.query("pages:shown", { group: "ten", paginationOpts: options(1, cursor, { endCursor }) }),
    );
    assert.deepEqual((await Promise.all(halves)).flatMap(({ page }) => ranks(page)), [2, 4, 6, 8]);
  });

  test("maximumBytesRead ends a page with the row that reaches it", async () => {
    const page = await http.query("pages:list", { group: "ten", paginationOpts: options(9, null, { maximumBytesRead: 1 }) });
    assert.deepEqual([ranks(page.page), page.pageStatus], [[1], "SplitRequired"]);
  });

  test("splitCursor is there for two documents and more", async () => {
    for (const [numItems, split] of [[1, false], [2, true], [3, true]]) {
      const { splitCursor } = await http.query("pages:list", { group: "ten", paginationOpts: options(numItems) });
      assert.equal(typeof splitCursor === "string", split, `${numItems} documents`);
    }
  });

  test("a very large page is better split", async () => {
    await db.query(`INSERT INTO items("group", rank) SELECT 'large', n FROM generate_series(1, 6200) AS n`);
    const page = await http.query("pages:list", { group: "large", paginationOpts: options(6200) });
    assert.deepEqual([page.page.length, page.pageStatus], [6200, "SplitRecommended"]);
  });
});

describe("mistakes", () => {
  const fails = (args, expected) => assert.rejects(http.query("pages:anyOptions", args), expected);

  test("sizes and bounds", async () => {
    await fails({ options: options(0) }, /Must request at least 1 document while paginating/);
    await fails({ options: options(32_001) }, /PageSizeTooLarge/);
    await fails({ options: options(1.5) }, /`pageSize`/);
    await fails({ options: options(-1) }, /must be a positive number/);
    await fails({ options: options(1, null, { maximumRowsRead: 0 }) }, /InvalidPaginationLimit/);
    await fails({ options: options(1, null, { maximumBytesRead: 0 }) }, /InvalidPaginationLimit/);
  });

  test("two pages in one function", async () => {
    await assert.rejects(
      http.query("pages:twice"),
      /This query or mutation function ran multiple paginated queries\. Convex only supports a single paginated query in each function\./,
    );
  });

  test("cursors that are none, or of another query", async () => {
    await fails({ options: options(1, "garbage") }, isInvalidCursor);
    await fails({ options: options(1, "") }, isInvalidCursor);
    await fails({ options: options(1, null, { endCursor: "garbage" }) }, isInvalidCursor);
    await fails({ options: options(1, "garbage") }, /InvalidCursor/);
    const { continueCursor } = await http.query("pages:anyOptions", { group: "ten", options: options(1) });
    await http.query("pages:anyOptions", { group: "ten", options: options(1, continueCursor) });
    await fails({ group: "other", options: options(1, continueCursor) }, isInvalidCursor);
    await fails({ options: options(1, continueCursor) }, isInvalidCursor);
    const down = http.query("pages:list", { group: "ten", desc: true, paginationOpts: options(1, continueCursor) });
    await assert.rejects(down, isInvalidCursor);
    const shown = http.query("pages:shown", { group: "ten", paginationOpts: options(1, continueCursor) });
    await assert.rejects(shown, isInvalidCursor);
  });

  test("a made-up place is used, and gives nothing that the query does not read", async () => {
    const { continueCursor } = await http.query("pages:list", { group: "ten", paginationOpts: options(3) });
    const bytes = Buffer.from(continueCursor, "base64url");
    const at = (key) => Buffer.concat([bytes.subarray(0, 18), Buffer.from(key)]).toString("base64url");
    for (const key of [[], [0], [0xff, 0xff]]) {
      const up = await http.query("pages:list", { group: "ten", paginationOpts: options(100, at(key)) });
      assert.ok(up.page.every(({ group }) => group === "ten"));
      const to = await http.query("pages:list", { group: "ten", paginationOpts: options(100, null, { endCursor: at(key) }) });
      assert.equal(up.page.length + to.page.length, 10);
    }
    const byId = await http.query("pages:all", { index: "by_id", paginationOpts: options(1) });
    const head = Buffer.from(byId.continueCursor, "base64url").subarray(0, 18);
    for (const key of [[], [0x38, 0, 0, 0], [0x38, 0xff, 0xfe, 0, 0], [0x20, 1, 2]]) {
      const cursor = Buffer.concat([head, Buffer.from(key)]).toString("base64url");
      await assert.rejects(http.query("pages:all", { index: "by_id", paginationOpts: options(1, cursor) }), isInvalidCursor);
    }
  });
});

/** A live list of pages, as `usePaginatedQuery` keeps it. */
class LivePages {
  errors = [];

  constructor(client, name, args, numItems) {
    this.stop = client.client.onPaginatedUpdate_experimental(
      name, args, { initialNumItems: numItems }, (value) => (this.latest = value), (error) => this.errors.push(error),
    );
  }

  get ranks() {
    return this.latest === undefined ? undefined : ranks(this.latest.results);
  }

  async becomes(expected) {
    await until(`the pages are ${expected}`, () => JSON.stringify(this.ranks) === JSON.stringify(expected)).catch((error) => {
      error.message += `; they are ${this.ranks}; errors: ${this.errors}`;
      throw error;
    });
  }

  async more(numItems) {
    const before = this.ranks.length;
    await until("more can be loaded", () => this.latest.status === "CanLoadMore");
    this.latest.loadMore(numItems);
    await until("more is loaded", () => this.latest.status !== "LoadingMore" && this.ranks.length > before);
  }
}

describe("live pages", () => {
  /** @type {LiveClient} */ let client;
  /** @type {LiveClient} */ let writer;

  beforeEach(() => {
    client = new LiveClient(server.url);
    writer = new LiveClient(server.url);
  });

  afterEach(async () => {
    await client.close();
    await writer.close();
  });

  test("rows that come and go between pages leave no gap and come once", async () => {
    await fill("live", 9);
    const pages = new LivePages(client, "pages:list", { group: "live" }, 3);
    await pages.becomes([1, 2, 3]);
    await pages.more(3);
    await pages.becomes(range(1, 6));
    // Before the border, at the border, and behind it.
    await client.mutation("pages:add", { group: "live", ranks: [2.5, 3.5] });
    await pages.becomes([1, 2, 2.5, 3, 3.5, 4, 5, 6]);
    await client.mutation("pages:remove", { group: "live", rank: 3 });
    await pages.becomes([1, 2, 2.5, 3.5, 4, 5, 6]);
    for (const rank of [1, 2, 2.5]) {
      await client.mutation("pages:remove", { group: "live", rank });
    }
    await pages.becomes([3.5, 4, 5, 6]);
    await client.mutation("pages:add", { group: "live", ranks: [3, 6.5, 1] });
    await pages.becomes([1, 3, 3.5, 4, 5, 6]);
    pages.stop();
  });

  test("the last page grows", async () => {
    await fill("end", 2);
    const pages = new LivePages(client, "pages:list", { group: "end" }, 3);
    await pages.becomes([1, 2]);
    assert.equal(pages.latest.status, "Exhausted");
    await client.mutation("pages:add", { group: "end", ranks: [3, 4, 5] });
    await pages.becomes([1, 2, 3, 4, 5]);
    pages.stop();
  });

  test("a page that has grown to more than twice its size is split, and nothing is lost", async () => {
    await fill("grow", 4);
    const pages = new LivePages(client, "pages:list", { group: "grow" }, 2);
    await pages.becomes([1, 2]);
    await client.mutation("pages:add", { group: "grow", ranks: [0.1, 0.2, 0.3, 0.4, 0.5] });
    await pages.becomes([0.1, 0.2, 0.3, 0.4, 0.5, 1, 2]);
    await pages.more(2);
    await pages.becomes([0.1, 0.2, 0.3, 0.4, 0.5, 1, 2, 3, 4]);
    await client.mutation("pages:remove", { group: "grow", rank: 0.3 });
    await client.mutation("pages:add", { group: "grow", ranks: [0.35, 2.5] });
    await pages.becomes([0.1, 0.2, 0.35, 0.4, 0.5, 1, 2, 2.5, 3, 4]);
    pages.stop();
  });

  test("ends are kept over reconnects and another relay process", async () => {
    await fill("again", 6);
    const pages = new LivePages(client, "pages:list", { group: "again" }, 2);
    await pages.becomes([1, 2]);
    await pages.more(2);
    client.cut();
    await client.mutation("pages:add", { group: "again", ranks: [1.5, 2.5] });
    await pages.becomes([1, 1.5, 2, 2.5, 3, 4]);
    await server.killRelay();
    await db.query(`INSERT INTO items("group", rank) VALUES ('again', 1.7), ('again', 3.5)`);
    await server.startRelay();
    await pages.becomes([1, 1.5, 1.7, 2, 2.5, 3, 3.5, 4]);
    pages.stop();
  });

  test("an end is kept while the query fails", async () => {
    await fill("error", 4);
    const page = client.subscribe("pages:failing", { group: "error", paginationOpts: options(2) });
    await page.becomes("shows two", ({ page }) => page.length === 2);
    await writer.mutation("pages:add", { group: "error", ranks: [-1] });
    await until("the query fails", () => page.errors.length > 0);
    client.cut();
    await client.mutation("pages:add", { group: "error", ranks: [1.5] });
    await client.mutation("pages:remove", { group: "error", rank: -1 });
    await page.becomes("ends where it did", ({ page }) => JSON.stringify(ranks(page)) === "[1,1.5,2]");
    page.stop();
  });

  test("a deploy that keeps the index keeps cursors and pages", async () => {
    await fill("deploy", 6);
    const pages = new LivePages(client, "pages:list", { group: "deploy" }, 2);
    await pages.becomes([1, 2]);
    await pages.more(2);
    const { continueCursor } = await http.query("pages:list", { group: "deploy", paginationOpts: options(2) });
    const folder = await mkdtemp(join(tmpdir(), "pg-live-test-"));
    try {
      const changed = join(folder, "app");
      await copyApp(APP, changed);
      const schema = join(changed, "convex/schema.ts");
      const text = await readFile(schema, "utf8");
      await writeFile(schema, text.replace('.index("by_any", ["any"])', '.index("by_hidden", ["hidden", "rank"])'));
      const { code, stderr } = await server.deploy(changed);
      assert.equal(code, 0, stderr);
    } finally {
      await rm(folder, { recursive: true });
    }
    await client.mutation("pages:add", { group: "deploy", ranks: [1.5] });
    await pages.becomes([1, 1.5, 2, 3, 4]);
    const next = await http.query("pages:list", { group: "deploy", paginationOpts: options(2, continueCursor) });
    assert.deepEqual(ranks(next.page), [3, 4]);
    pages.stop();
  });

  test(`random writes against loaded pages (seed ${SEED})`, async () => {
    const next = random(SEED);
    await fill("random", 30);
    const present = new Set(range(1, 30));
    const pages = new LivePages(client, "pages:list", { group: "random" }, 4);
    await pages.becomes([1, 2, 3, 4]);
    await pages.more(4);
    await pages.more(4);
    // Pages up to and with the row of rank 12 are loaded: that border stays. Another row of rank 12 would
    // be younger, and so behind it.
    for (let n = 0; n < 60; n++) {
      const rank = 1.125 + Math.floor(next() * 60) / 4;
      if (present.has(rank)) {
        present.delete(rank);
        await writer.mutation("pages:remove", { group: "random", rank });
      } else {
        present.add(rank);
        await writer.mutation("pages:add", { group: "random", ranks: [rank] });
      }
      if (n % 20 === 19) {
        client.cut();
      }
    }
    await pages.becomes([...present].filter((rank) => rank <= 12).sort((a, b) => a - b));
    pages.stop();
  });
});
