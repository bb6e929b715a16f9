import { v } from "convex/values";
import { mutation, type MutationCtx } from "./_generated/server";

const byName = (ctx: MutationCtx, name: string) =>
  ctx.db
    .query("accounts")
    .withIndex("by_name", (q) => q.eq("name", name))
    .unique();

/** Moves an amount from one account to another. */
export const transfer = mutation({
  args: { from: v.string(), to: v.string(), amount: v.number() },
  handler: async (ctx, { from, to, amount }) => {
    const [source, target] = [await byName(ctx, from), await byName(ctx, to)];
    if (source === null || target === null) {
      throw new Error("no such account");
    }
    await ctx.db.patch(source._id, { balance: source.balance - amount });
    await ctx.db.patch(target._id, { balance: target.balance + amount });
    return null;
  },
});
