import { mutationGeneric as mutation, queryGeneric as query } from "convex/server";
import { v } from "convex/values";

export const add = mutation({
  args: { body: v.string(), n: v.number() },
  handler: async (ctx, item) => await ctx.db.insert("items", item),
});

/** Changes the item with this number. */
export const bump = mutation({
  args: { n: v.number() },
  handler: async (ctx, { n }) => {
    const item = await ctx.db.query("items").withIndex("by_n", (q) => q.eq("n", n)).first();
    if (item === null) {
      throw new Error(`item ${n} is lost`);
    }
    await ctx.db.patch(item._id, { body: `${item.body}.` });
  },
});

export const last = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("items").withIndex("by_n").order("desc").take(5)).map((item) => item.n),
});
