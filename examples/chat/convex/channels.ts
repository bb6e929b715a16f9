import { ConvexError, v } from "convex/values";
import { mutation, query } from "./_generated/server";

/** The channel of messages that name none; it exists without a row. */
const DEFAULT_CHANNEL = "general";

/** The channels by name, without the default one. */
export const list = query({
  args: {},
  handler: async (ctx) => await ctx.db.query("channels").withIndex("by_name").take(100),
});

/** Creates a channel, if there is none of that name yet, and returns its name as stored. */
export const create = mutation({
  args: { name: v.string() },
  returns: v.string(),
  handler: async (ctx, args) => {
    const name = args.name.trim().toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
    if (name === "" || name.length > 32) {
      throw new ConvexError({
        code: "bad_name",
        message: "A channel's name has 1 to 32 letters, digits or dashes.",
      });
    }
    const existing = await ctx.db
      .query("channels")
      .withIndex("by_name", (q) => q.eq("name", name))
      .first();
    if (existing === null && name !== DEFAULT_CHANNEL) {
      await ctx.db.insert("channels", { name });
    }
    return name;
  },
});
