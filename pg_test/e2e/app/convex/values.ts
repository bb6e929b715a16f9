import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import schema from "./schema";

/** Gives back what it was given. */
export const echo = query({
  args: { value: v.any() },
  handler: async (_ctx, { value }) => value,
});

/** Stores a document with a field of each type and reads it back. */
export const store = mutation({
  args: schema.tables.everything.validator,
  handler: async (ctx, document) => {
    const id = await ctx.db.insert("everything", document);
    return await ctx.db.get("everything", id);
  },
});
