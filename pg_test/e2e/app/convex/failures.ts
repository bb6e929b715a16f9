import { ConvexError, v } from "convex/values";
import { mutation, query } from "./_generated/server";

const DATA = { code: "forbidden", detail: { tries: 3n, list: ["a", 1] } };

export const convexErrorQuery = query({
  args: {},
  handler: async () => {
    throw new ConvexError(DATA);
  },
});

/** Writes, then fails: nothing of it may stay. */
export const convexErrorMutation = mutation({
  args: { body: v.string() },
  handler: async (ctx, { body }) => {
    await ctx.db.insert("messages", { author: "failures", body });
    throw new ConvexError(DATA);
  },
});

export const plainErrorQuery = query({
  args: {},
  handler: async () => {
    throw new TypeError("a plain failure");
  },
});

export const plainErrorMutation = mutation({
  args: { body: v.string() },
  handler: async (ctx, { body }) => {
    await ctx.db.insert("messages", { author: "failures", body });
    throw new Error("a plain failure after a write");
  },
});

/** Fails while the newest message of channel "poison" says so. */
export const poisoned = query({
  args: {},
  handler: async (ctx) => {
    const newest = await ctx.db
      .query("messages")
      .withIndex("by_channel", (q) => q.eq("channel", "poison"))
      .order("desc")
      .first();
    if (newest?.body === "poison") {
      throw new ConvexError("poisoned");
    }
    return newest?.body ?? null;
  },
});

export const wrongReturn = query({
  args: {},
  returns: v.string(),
  handler: async () => 7 as unknown as string,
});
