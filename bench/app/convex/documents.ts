// Reads and writes of documents, many per call, so that what a call itself costs hardly counts. `canned`: the same,
// answered by strings of the same size.
import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import { withCanned } from "./lib/canned";

const BODY =
  "Someone wrote these two hundred characters of text, as they do in a forum, and someone else is to read them on a " +
  "page that shows a hundred such posts, each with its author, a title and how often it was liked.";

const post = (n: number) => ({
  topic: `topic ${n % 100}`,
  author: `author ${n % 37}`,
  title: `Post number ${n}`,
  body: BODY,
  score: n,
  pinned: n % 50 === 0,
  tags: ["bench", `tag ${n % 7}`],
});

const ID = "j57038fxy0769x5at485m1yrrp4fhqa9";
const stored = (n: number) => ({ _id: ID, _creationTime: 1_790_000_000_000.125 + n, ...post(n) });

/** Documents that a page or a `take` has. */
const MANY = 100;
const POSTS = Array.from({ length: MANY }, (_, n) => stored(n));

const CANNED = {
  "1.0/get": POSTS.map((document) => JSON.stringify(document)),
  "1.0/insert": [JSON.stringify({ _id: ID })],
  "1.0/queryStream": ['{"queryId":0}'],
  "1.0/queryCleanup": ["{}"],
  "1.0/queryStreamNext": [
    ...POSTS.map((value) => JSON.stringify({ value, done: false })),
    '{"value":null,"done":true}',
  ],
  "1.0/queryPage": [JSON.stringify({ page: POSTS, isDone: false, continueCursor: "c", pageStatus: null })],
};

const run = <T>(canned: boolean, work: () => Promise<T>) => (canned ? withCanned(CANNED, work) : work());

/** Nothing, with the same arguments as the others: what a call costs. */
export const nothing = query({
  args: { ids: v.optional(v.array(v.id("posts"))), topics: v.optional(v.array(v.string())) },
  handler: async () => 0,
});

/** Gets these posts, one by one; the sum of their scores. */
export const get = query({
  args: { ids: v.array(v.id("posts")), canned: v.boolean() },
  handler: async (ctx, { ids, canned }) =>
    await run(canned, async () => {
      let sum = 0;
      for (const id of ids) {
        sum += (await ctx.db.get("posts", id))!.score;
      }
      return sum;
    }),
});

/** Takes the first hundred posts of each of these topics; the sum of their scores. */
export const take = query({
  args: { topics: v.array(v.string()), canned: v.boolean() },
  handler: async (ctx, { topics, canned }) =>
    await run(canned, async () => {
      let sum = 0;
      for (const topic of topics) {
        const posts = await ctx.db
          .query("posts")
          .withIndex("by_topic", (q) => q.eq("topic", topic))
          .take(MANY);
        for (const { score } of posts) {
          sum += score;
        }
      }
      return sum;
    }),
});

/** The first page of a topic; the sum of its scores. */
export const page = query({
  args: { topic: v.string(), canned: v.boolean() },
  handler: async (ctx, { topic, canned }) =>
    await run(canned, async () => {
      const { page } = await ctx.db
        .query("posts")
        .withIndex("by_topic", (q) => q.eq("topic", topic))
        .paginate({ numItems: MANY, cursor: null });
      return page.reduce((sum, { score }) => sum + score, 0);
    }),
});

/** Inserts so many posts; how many. */
export const insert = mutation({
  args: { count: v.number(), canned: v.boolean() },
  handler: async (ctx, { count, canned }) =>
    await run(canned, async () => {
      for (let n = 0; n < count; n += 1) {
        await ctx.db.insert("posts", post(n));
      }
      return count;
    }),
});

/** The first fifty entries of each of these topics in the small table or in the big one; how many, and their sum. */
export const takeOf = query({
  args: { table: v.union(v.literal("small"), v.literal("big")), topics: v.array(v.number()) },
  handler: async (ctx, { table, topics }) => {
    let [count, sum] = [0, 0];
    for (const topic of topics) {
      const found = await ctx.db
        .query(table)
        .withIndex("by_topic", (q) => q.eq("topic", topic))
        .take(50);
      for (const { n } of found) {
        count += 1;
        sum += n;
      }
    }
    return { count, sum };
  },
});

/** One page of the big table in the order of creation; how many are on it, their sum, and where it ends. */
export const pageOfBig = query({
  args: { cursor: v.union(v.string(), v.null()), numItems: v.number() },
  handler: async (ctx, paginationOpts) => {
    const { page, continueCursor, isDone } = await ctx.db.query("big").paginate(paginationOpts);
    return { count: page.length, sum: page.reduce((sum, { n }) => sum + n, 0), continueCursor, isDone };
  },
});
