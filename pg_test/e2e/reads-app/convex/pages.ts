import { paginationOptsValidator } from "convex/server";
import { ConvexError, v } from "convex/values";
import { mutation, query } from "./_generated/server";

/** One page of a group by rank. */
export const list = query({
  args: { group: v.string(), desc: v.optional(v.boolean()), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { group, desc, paginationOpts }) =>
    await ctx.db
      .query("items")
      .withIndex("by_group_rank", (q) => q.eq("group", group))
      .order(desc ? "desc" : "asc")
      .paginate(paginationOpts),
});

/** The same, without the hidden ones. */
export const shown = query({
  args: { group: v.string(), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { group, paginationOpts }) =>
    await ctx.db
      .query("items")
      .withIndex("by_group_rank", (q) => q.eq("group", group))
      .filter((q) => q.neq(q.field("hidden"), true))
      .paginate(paginationOpts),
});

/** All items, by an index that every table has. */
export const all = query({
  args: { index: v.union(v.literal("by_creation_time"), v.literal("by_id")), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { index, paginationOpts }) => await ctx.db.query("items").withIndex(index).paginate(paginationOpts),
});

/** Any options, as a careless function may pass them on. */
export const anyOptions = query({
  args: { group: v.optional(v.string()), options: v.any() },
  handler: async (ctx, { group, options }) => {
    const items = ctx.db.query("items");
    return group === undefined
      ? await items.paginate(options)
      : await items.withIndex("by_group_rank", (q) => q.eq("group", group)).paginate(options);
  },
});

export const twice = query({
  args: {},
  handler: async (ctx) => {
    const options = { numItems: 1, cursor: null };
    await ctx.db.query("items").paginate(options);
    return await ctx.db.query("items").paginate(options);
  },
});

/** A page that a function reads, and then fails while the group has an item of rank -1. */
export const failing = query({
  args: { group: v.string(), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { group, paginationOpts }) => {
    const inGroup = () => ctx.db.query("items").withIndex("by_group_rank", (q) => q.eq("group", group));
    const first = await inGroup().first();
    if (first?.rank === -1) {
      throw new ConvexError("poisoned");
    }
    return await inGroup().paginate(paginationOpts);
  },
});

export const inMutation = mutation({
  args: { group: v.string(), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { group, paginationOpts }) => {
    await ctx.db.insert("items", { group, rank: 0 });
    return await ctx.db
      .query("items")
      .withIndex("by_group_rank", (q) => q.eq("group", group))
      .paginate(paginationOpts);
  },
});

export const add = mutation({
  args: { group: v.string(), ranks: v.array(v.number()) },
  handler: async (ctx, { group, ranks }) => {
    for (const rank of ranks) {
      await ctx.db.insert("items", { group, rank });
    }
  },
});

export const remove = mutation({
  args: { group: v.string(), rank: v.number() },
  handler: async (ctx, { group, rank }) => {
    const item = await ctx.db
      .query("items")
      .withIndex("by_group_rank", (q) => q.eq("group", group).eq("rank", rank))
      .unique();
    if (item !== null) {
      await ctx.db.delete("items", item._id);
    }
  },
});
