import { v } from "convex/values";
import { internalQuery, mutation, query } from "./_generated/server";
import { refuse, text } from "./lib/errors";

/** The members by name. */
export const list = query({
  args: {},
  handler: async (ctx) => await ctx.db.query("members").withIndex("by_name").take(100),
});

/** The member of that name, who is added if there is none. The example has no sign-in. */
export const join = mutation({
  args: { name: v.string() },
  returns: v.id("members"),
  handler: async (ctx, args) => {
    const name = text("A name", args.name, 40);
    const known = await ctx.db
      .query("members")
      .withIndex("by_name", (q) => q.eq("name", name))
      .first();
    return known?._id ?? (await ctx.db.insert("members", { name }));
  },
});

/** The name of a member, for functions that are about to use its id. Refuses an id of nobody. */
export const nameOf = internalQuery({
  args: { member: v.id("members") },
  returns: v.string(),
  handler: async (ctx, { member }) => {
    const found = await ctx.db.get("members", member);
    return found?.name ?? refuse("no_member", "This member does not exist any more.");
  },
});
