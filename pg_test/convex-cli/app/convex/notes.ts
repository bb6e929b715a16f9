import { v } from "convex/values";
import { internalMutation, mutation, query } from "./_generated/server";

export const list = query({
  args: { author: v.optional(v.string()) },
  handler: async (ctx, { author }) => {
    const notes =
      author === undefined
        ? await ctx.db.query("notes").collect()
        : await ctx.db
            .query("notes")
            .withIndex("by_author", (q) => q.eq("author", author))
            .collect();
    return notes.map((note) => note.body);
  },
});

export const add = mutation({
  args: { author: v.string(), body: v.string() },
  handler: async (ctx, note) => {
    console.log("adding", note.body);
    return await ctx.db.insert("notes", note);
  },
});

export const clear = internalMutation({
  args: {},
  handler: async (ctx) => {
    for (const note of await ctx.db.query("notes").collect()) {
      await ctx.db.delete("notes", note._id);
    }
    return null;
  },
});

export const whoami = query({
  args: {},
  handler: async (ctx) => (await ctx.auth.getUserIdentity())?.name ?? null,
});

export const greeting = query({
  args: {},
  handler: async () => process.env.GREETING ?? "unset",
});

export const fails = query({
  args: {},
  handler: async () => {
    throw new Error("as it should");
  },
});
