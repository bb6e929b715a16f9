import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import type { MutationCtx, QueryCtx } from "./_generated/server";

/** The newest 20 messages of a channel. */
export const list = query({
  args: { channel: v.string() },
  handler: async (ctx, { channel }) => {
    const newest = await ctx.db
      .query("messages")
      .withIndex("by_channel", (q) => q.eq("channel", channel))
      .order("desc")
      .take(20);
    return newest.map((message) => message.body);
  },
});

export const send = mutation({
  args: { channel: v.string(), body: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("messages", args);
    return null;
  },
});

const counter = async (ctx: QueryCtx, name: string) =>
  await ctx.db
    .query("counters")
    .withIndex("by_name", (q) => q.eq("name", name))
    .unique();

/** A number that only grows. */
export const count = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => (await counter(ctx, name))?.value ?? null,
});

export const bump = mutation({
  args: { name: v.string() },
  handler: async (ctx: MutationCtx, { name }) => {
    const row = await counter(ctx, name);
    if (row !== null) {
      await ctx.db.patch("counters", row._id, { value: row.value + 1 });
    }
    return null;
  },
});

export const balance = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const account = await ctx.db
      .query("accounts")
      .withIndex("by_name", (q) => q.eq("name", name))
      .unique();
    return account?.balance ?? null;
  },
});

/** Writes, and then takes a while in JavaScript: to be killed there. */
export const slow = mutation({
  args: { channel: v.string(), body: v.string(), turns: v.number() },
  handler: async (ctx, { channel, body, turns }) => {
    await ctx.db.insert("messages", { channel, body });
    let sum = 0;
    for (let turn = 0; turn < turns; turn += 1) {
      sum = (sum * 31 + turn) % 1_000_003;
    }
    return sum;
  },
});
