import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import type { QueryCtx } from "./_generated/server";

const byName = async (ctx: QueryCtx, name: string) =>
  await ctx.db
    .query("accounts")
    .withIndex("by_name", (q) => q.eq("name", name))
    .unique();

export const balance = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => (await byName(ctx, name))?.balance ?? null,
});

export const total = query({
  args: {},
  handler: async (ctx) => {
    const accounts = await ctx.db.query("accounts").withIndex("by_name").collect();
    return accounts.reduce((sum, account) => sum + account.balance, 0);
  },
});

export const transfer = mutation({
  args: { from: v.string(), to: v.string(), amount: v.number() },
  handler: async (ctx, { from, to, amount }) => {
    const source = await byName(ctx, from);
    const target = await byName(ctx, to);
    if (source === null || target === null) {
      throw new Error("no such account");
    }
    await ctx.db.patch("accounts", source._id, { balance: source.balance - amount });
    await ctx.db.patch("accounts", target._id, { balance: target.balance + amount });
    return null;
  },
});
