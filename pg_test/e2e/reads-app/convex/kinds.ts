import { v } from "convex/values";
import { mutation } from "./_generated/server";

/** An item with any value in the field `any`. */
export const add = mutation({
  args: { any: v.any() },
  handler: async (ctx, { any }) => {
    await ctx.db.insert("items", { group: "kinds", rank: 0, any });
  },
});
