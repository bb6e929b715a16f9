import { v } from "convex/values";
import { internalQuery, mutation, query } from "./_generated/server";

const channel = v.optional(v.string());

/** The newest 50 messages of a channel. */
export const list = query({
  args: { channel },
  handler: async (ctx, args) =>
    await ctx.db
      .query("messages")
      .withIndex("by_channel", (q) => q.eq("channel", args.channel))
      .order("desc")
      .take(50),
});

/** How many of the newest 50 there are: reads what `list` reads, and seldom changes. */
export const count = query({
  args: { channel },
  handler: async (ctx, args) => {
    const newest = await ctx.db
      .query("messages")
      .withIndex("by_channel", (q) => q.eq("channel", args.channel))
      .order("desc")
      .take(50);
    return newest.length;
  },
});

export const get = query({
  args: { id: v.id("messages") },
  handler: async (ctx, { id }) => await ctx.db.get("messages", id),
});

export const send = mutation({
  args: { author: v.string(), body: v.string(), channel },
  returns: v.id("messages"),
  handler: async (ctx, args) => await ctx.db.insert("messages", args),
});

export const edit = mutation({
  args: { id: v.id("messages"), body: v.string() },
  handler: async (ctx, { id, body }) => await ctx.db.patch("messages", id, { body }),
});

export const remove = mutation({
  args: { id: v.id("messages") },
  handler: async (ctx, { id }) => await ctx.db.delete("messages", id),
});

export const secret = internalQuery({
  args: {},
  handler: async () => "not for clients",
});
