import { v } from "convex/values";
import { query } from "./_generated/server";

/** The newest entry of a topic. */
export const newest = query({
  args: { topic: v.string() },
  handler: async (ctx, { topic }) =>
    await ctx.db
      .query("entries")
      .withIndex("by_topic", (q) => q.eq("topic", topic))
      .order("desc")
      .first(),
});
