import { v } from "convex/values";
import type { Id } from "./_generated/dataModel";
import { mutation, query, type QueryCtx } from "./_generated/server";
import { refuse, text } from "./lib/errors";

/** Counts are exact up to this one; more are told as "that many, or more". */
const COUNTED = 100;

/** The projects by key. */
export const list = query({
  args: {},
  handler: async (ctx) => await ctx.db.query("projects").withIndex("by_key").take(100),
});

/** Creates a project. Its key is the first part of its issues' names: WEB-12. */
export const create = mutation({
  args: { key: v.string(), name: v.string() },
  returns: v.id("projects"),
  handler: async (ctx, args) => {
    const key = args.key.trim().toUpperCase();
    if (!/^[A-Z]{2,5}$/.test(key)) {
      refuse("bad_key", "A project's key has 2 to 5 letters.");
    }
    const name = text("A project's name", args.name, 60);
    const taken = await ctx.db
      .query("projects")
      .withIndex("by_key", (q) => q.eq("key", key))
      .first();
    if (taken !== null) {
      refuse("key_taken", `${taken.name} has the key ${key} already.`);
    }
    return await ctx.db.insert("projects", { key, name, issues: 0 });
  },
});

/** How many issues of a project have which status; at most 100 are counted. */
export const counts = query({
  args: { project: v.id("projects") },
  returns: v.object({ open: v.number(), doing: v.number(), done: v.number() }),
  handler: async (ctx, { project }) => ({
    open: await count(ctx, project, "open"),
    doing: await count(ctx, project, "doing"),
    done: await count(ctx, project, "done"),
  }),
});

async function count(ctx: QueryCtx, project: Id<"projects">, status: "open" | "doing" | "done"): Promise<number> {
  const issues = await ctx.db
    .query("issues")
    .withIndex("by_project_status", (q) => q.eq("project", project).eq("status", status))
    .take(COUNTED);
  return issues.length;
}
