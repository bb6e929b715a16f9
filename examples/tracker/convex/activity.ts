import { v } from "convex/values";
import { internalMutation, query } from "./_generated/server";
import { event } from "./schema";

/** How much of an issue's history is shown. */
const SHOWN = 12;

/** The newest of what happened to an issue, newest first, with the names of the people. */
export const list = query({
  args: { issue: v.id("issues") },
  handler: async (ctx, { issue }) => {
    const entries = await ctx.db
      .query("activity")
      .withIndex("by_issue", (q) => q.eq("issue", issue))
      .order("desc")
      .take(SHOWN);
    return await Promise.all(
      entries.map(async ({ _id, _creationTime, member, event }) => ({
        _id,
        _creationTime,
        event,
        member: (await ctx.db.get("members", member))?.name ?? "Somebody",
        assignee:
          event.kind === "assigned" && event.to !== null ? ((await ctx.db.get("members", event.to))?.name ?? null) : null,
      })),
    );
  },
});

/** Notes that something happened. Other mutations call it, so it is a part of their transactions. */
export const record = internalMutation({
  args: { issue: v.id("issues"), member: v.id("members"), event },
  returns: v.null(),
  handler: async (ctx, args) => {
    await ctx.db.insert("activity", args);
    return null;
  },
});
