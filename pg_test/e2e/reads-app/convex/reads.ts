import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

// What each case does is not typed: much of it is what the types would not let through.
type Context = any;
type Builder = any;

const ranks = (items: { rank: number }[]) => items.map(({ rank }) => rank);
const inGroup = (ctx: Context, group: string, more = (q: Builder) => q) =>
  ctx.db.query("items").withIndex("by_group_rank", (q: Builder) => more(q.eq("group", group)));
const filtered = async (ctx: Context, predicate: (q: Builder) => unknown) =>
  ranks(await inGroup(ctx, "numbers").filter(predicate).collect());
const ranged = (index: string, range: (q: Builder) => Builder) => async (ctx: Context) =>
  (await ctx.db.query("items").withIndex(index, range).collect()).length;

/** The forms of filters, on items of group "numbers" with ranks 1 to 5; 4 and 5 have the integer 10 in `any`. */
const filters: Record<string, (q: Builder) => unknown> = {
  eq: (q) => q.eq(q.field("rank"), 2),
  neq: (q) => q.neq(q.field("rank"), 2),
  lt: (q) => q.lt(q.field("rank"), 2),
  lte: (q) => q.lte(q.field("rank"), 2),
  gt: (q) => q.gt(q.field("rank"), 4),
  gte: (q) => q.gte(q.field("rank"), 4),
  and: (q) => q.and(q.gt(q.field("rank"), 1), q.lt(q.field("rank"), 4)),
  or: (q) => q.or(q.eq(q.field("rank"), 1), q.eq(q.field("rank"), 5)),
  not: (q) => q.not(q.eq(q.field("rank"), 1)),
  add: (q) => q.eq(q.add(q.field("rank"), 1), 3),
  sub: (q) => q.eq(q.sub(q.field("rank"), 1), 3),
  mul: (q) => q.eq(q.mul(q.field("rank"), 2), 6),
  div: (q) => q.eq(q.div(q.field("rank"), 2), 2.5),
  mod: (q) => q.eq(q.mod(q.field("rank"), 2), 0),
  neg: (q) => q.lt(q.neg(q.field("rank")), -4),
  absent: (q) => q.eq(q.field("any"), undefined),
  belowNull: (q) => q.lt(q.field("any"), null),
  integers: (q) => q.eq(q.add(q.field("any"), 1n), q.field("any")),
  integer: (q) => q.or(q.eq(q.field("any"), undefined), q.eq(q.add(q.field("any"), 1n), 11n)),
  mixed: (q) => q.eq(q.field("any"), 10),
  nested: (q) => q.eq(q.field("any.deep.er"), undefined),
  overflow: (q) => q.eq(q.add(2n ** 63n - 1n, 1n), 1n),
  divisionByZero: (q) => q.eq(q.div(1n, 0n), 1n),
  floatAndInteger: (q) => q.eq(q.add(q.field("rank"), 1n), 1),
  text: (q) => q.eq(q.add(q.field("group"), "x"), "x"),
  notBoolean: (q) => q.field("rank"),
  notOfNumber: (q) => q.not(q.field("rank")),
  andOfNumber: (q) => q.and(q.field("rank")),
  badPath: (q) => q.eq(q.field("a..b"), 1),
};

const cases: Record<string, (ctx: Context, arg: any) => Promise<unknown>> = {
  get: async (ctx, id) => await ctx.db.get(id),
  getOf: async (ctx, [table, id]) => await ctx.db.get(table, id),
  getOfTable: async (ctx, [table, id]) => await ctx.db.table(table).get(id),
  systemGet: async (ctx, id) => await ctx.db.system.get(id),
  systemGetOf: async (ctx, [table, id]) => await ctx.db.system.get(table, id),
  systemQuery: async (ctx, table) => await ctx.db.system.query(table).collect(),
  systemRange: async (ctx, [table, index]) =>
    await ctx.db.system.query(table).withIndex(index).filter((q: Builder) => q.eq(q.field("size"), 1)).order("desc").take(3),
  systemPage: async (ctx, table) => await ctx.db.system.query(table).paginate({ numItems: 1, cursor: null }),
  systemCount: async (ctx, table) => await ctx.db.system.query(table).count(),
  systemNormalizeId: async (ctx, [table, id]) => ctx.db.system.normalizeId(table, id),
  normalizeId: async (ctx, [table, id]) => ctx.db.normalizeId(table, id),
  queryTable: async (ctx, table) => await ctx.db.query(table).collect(),
  queryIndex: async (ctx, [table, index]) => await ctx.db.query(table).withIndex(index).collect(),
  count: async (ctx, table) => await ctx.db.query(table).count(),

  filter: async (ctx, name) => await filtered(ctx, filters[name]),
  manyOperators: async (ctx, count) => {
    let items = ctx.db.query("items");
    for (let n = 0; n < count; n++) {
      items = items.filter((q: Builder) => q.eq(1, 1));
    }
    return ranks(await items.take(1)).length;
  },

  names: async (ctx, order) =>
    (await (order === null ? ctx.db.query("others") : ctx.db.query("others").order(order)).collect()).map((other: any) => other.name),
  byId: async (ctx, id) => ranks(await ctx.db.query("items").withIndex("by_id", (q: Builder) => q.eq("_id", id)).collect()),
  since: async (ctx, time) =>
    ranks(await ctx.db.query("items").withIndex("by_creation_time", (q: Builder) => q.gte("_creationTime", time)).collect()),
  between: async (ctx, [from, to]) => ranks(await inGroup(ctx, "numbers", (q) => q.gt("rank", from).lte("rank", to)).collect()),
  from: async (ctx, from) => ranks(await inGroup(ctx, "numbers", (q) => q.gte("rank", from)).collect()),
  below: async (ctx, to) => ranks(await inGroup(ctx, "numbers", (q) => q.lt("rank", to)).order("desc").collect()),
  andTime: async (ctx) =>
    ranks(await inGroup(ctx, "numbers", (q) => q.eq("rank", 3).gt("_creationTime", 0)).collect()),
  /** All kinds of values in one index. */
  order: async (ctx) =>
    (await ctx.db.query("items").withIndex("by_any", (q: Builder) => q.gte("any", null)).collect())
      .filter(({ group }: any) => group === "kinds")
      .map((item: any) => item.any),
  absent: async (ctx) =>
    (await ctx.db.query("items").withIndex("by_any", (q: Builder) => q.eq("any", undefined)).collect()).length,

  first: async (ctx, group) => await inGroup(ctx, group).first(),
  unique: async (ctx, [group, rank]) => await inGroup(ctx, group, (q) => (rank === null ? q : q.eq("rank", rank))).unique(),
  take: async (ctx, [group, n]) => ranks(await inGroup(ctx, group).take(n)),
  takeFiltered: async (ctx, n) =>
    ranks(await inGroup(ctx, "numbers").filter((q: Builder) => q.neq(q.field("rank"), 2)).take(n)),
  iterate: async (ctx, upto) => {
    const seen = [];
    for await (const { rank } of inGroup(ctx, "numbers")) {
      seen.push(rank);
      if (rank === upto) {
        break;
      }
    }
    return seen;
  },
  byHand: async (ctx) => {
    const items = inGroup(ctx, "numbers");
    const first = await items.next();
    const second = await items.next();
    await items.return();
    return [first.value.rank, second.value.rank, first.done];
  },
  afterwards: async (ctx) => {
    const items = inGroup(ctx, "numbers");
    await items.collect();
    return await items.next();
  },
  twoAtOnce: async (ctx) => {
    const [up, down] = [inGroup(ctx, "numbers"), inGroup(ctx, "numbers").order("desc")];
    const seen = [];
    for (let n = 0; n < 3; n++) {
      const [left, right] = await Promise.all([up.next(), down.next()]);
      seen.push([left.value.rank, right.value.rank]);
    }
    return seen;
  },

  unknownIndex: ranged("by_nothing", (q) => q),
  stagedIndex: ranged("staged_rank", (q) => q),
  searchIndexAsRange: ranged("search_group", (q) => q),
  vectorIndexAsRange: ranged("vector_any", (q) => q),
  fieldNotInIndex: ranged("by_group_rank", (q) => q.eq("hidden", true)),
  notAPrefix: ranged("by_group_rank", (q) => q.eq("rank", 1)),
  boundAfterBound: ranged("by_group_rank", (q) => q.gt("group", "a").gte("group", "b")),
  boundAfterEquality: ranged("by_group_rank", (q) => q.eq("group", "a").lt("group", "b")),
  boundsOnTwoFields: ranged("by_group_rank", (q) => q.gt("group", "a").gt("rank", 1)),
  search: async (ctx) =>
    await ctx.db.query("items").withSearchIndex("search_group", (q: Builder) => q.search("group", "x")).collect(),
  searchOther: async (ctx, index) =>
    await ctx.db.query("items").withSearchIndex(index, (q: Builder) => q.search("group", "x")).collect(),
  searchForNothing: async (ctx) => await ctx.db.query("items").withSearchIndex("search_group", (q: Builder) => q).collect(),
};

export const run = query({
  args: { name: v.string(), arg: v.any() },
  handler: async (ctx, { name, arg }) => await cases[name](ctx, arg),
});

const writingCases: Record<string, (ctx: Context, arg: any) => Promise<unknown>> = {
  ...cases,
  patch: async (ctx, id) => await ctx.db.patch(id, {}),
  replace: async (ctx, id) => await ctx.db.replace(id, {}),
  delete: async (ctx, id) => await ctx.db.delete(id),
  insertFile: async (ctx, fields) => await ctx.db.insert("files", fields),
  insertInto: async (ctx, table) => await ctx.db.insert(table, {}),

  /** Each row is changed while the index that moves it is read: those behind the present place are met. */
  writeWhileReading: async (ctx) => {
    for (const rank of [1, 2, 3, 4]) {
      await ctx.db.insert("items", { group: "moving", rank });
    }
    const seen = [];
    for await (const item of inGroup(ctx, "moving")) {
      seen.push(item.rank);
      if (item.rank === 1) {
        await ctx.db.insert("items", { group: "moving", rank: 1.5 });
        await ctx.db.insert("items", { group: "moving", rank: 0.5 });
      } else if (item.rank === 2) {
        const next = await inGroup(ctx, "moving", (q) => q.eq("rank", 3)).unique();
        await ctx.db.delete(next._id);
      }
    }
    return seen;
  },
};

export const write = mutation({
  args: { name: v.string(), arg: v.any() },
  handler: async (ctx, { name, arg }) => (await writingCases[name](ctx, arg)) ?? null,
});
