// What pg_live cannot run yet: it is pushed all the same, and calls say what is missing.
import { v } from "convex/values";
import { internal } from "./_generated/api";
import { action, mutation } from "./_generated/server";

export const act = action({
  args: {},
  handler: async (ctx): Promise<null> => {
    await ctx.runMutation(internal.notes.clear, {});
    return null;
  },
});

export const upload = mutation({
  args: {},
  handler: async (ctx) => await ctx.storage.generateUploadUrl(),
});

export const remind = mutation({
  args: { ms: v.number() },
  handler: async (ctx, { ms }) => {
    await ctx.scheduler.runAfter(ms, internal.notes.clear, {});
    return null;
  },
});
