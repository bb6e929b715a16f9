import { v } from "convex/values";
import { query } from "./_generated/server";

/** What a call costs by itself. */
export const empty = query({ args: {}, handler: async () => null });

/** One read by primary key. */
export const get = query({
  args: { id: v.id("documents") },
  handler: async (ctx, { id }) => await ctx.db.get("documents", id),
});

/** Ends only when it is stopped. */
export const forever = query({
  args: {},
  handler: async () => {
    for (;;);
  },
});
