import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import type { QueryCtx } from "./_generated/server";

const byName = async (ctx: QueryCtx, name: string) =>
  await ctx.db
    .query("accounts")
    .withIndex("by_name", (q) => q.eq("name", name))
    .unique();

const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

/** What an account has; null if there is none. */
export const balance = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const account = await byName(ctx, name);
    const entries = await ctx.db
      .query("entries")
      .withIndex("by_account", (q) => q.eq("account", name))
      .collect();
    return account === null ? null : account.balance + sum(entries.map(({ amount }) => amount));
  },
});

/** What the accounts of one half have together. */
export const half = query({
  args: { half: v.number() },
  handler: async (ctx, { half }) => {
    const accounts = await ctx.db
      .query("accounts")
      .withIndex("by_half", (q) => q.eq("half", half))
      .collect();
    const entries = await ctx.db
      .query("entries")
      .withIndex("by_half", (q) => q.eq("half", half))
      .collect();
    return sum(accounts.map(({ balance }) => balance)) + sum(entries.map(({ amount }) => amount));
  },
});

export const transfer = mutation({
  args: { from: v.string(), to: v.string(), amount: v.number() },
  handler: async (ctx, { from, to, amount }) => {
    for (const [name, change] of [[from, -amount], [to, amount]] as const) {
      const account = await byName(ctx, name);
      if (account === null) {
        throw new Error("no such account");
      }
      await ctx.db.patch("accounts", account._id, { balance: account.balance + change });
    }
    return null;
  },
});

/** Adds one to an account, which need not exist. */
export const bump = mutation({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const account = await byName(ctx, name);
    if (account === null) {
      await ctx.db.insert("accounts", { name, half: -1, balance: 1 });
    } else {
      await ctx.db.patch("accounts", account._id, { balance: account.balance + 1 });
    }
    return null;
  },
});
