import { paginationOptsValidator, paginationResultValidator } from "convex/server";
import { v } from "convex/values";
import { internal } from "./_generated/api";
import { mutation, query } from "./_generated/server";
import { refuse, text } from "./lib/errors";

/** The comments on an issue, newest first, with the names of their authors; null for those of none. */
export const list = query({
  args: { issue: v.id("issues"), paginationOpts: paginationOptsValidator },
  returns: paginationResultValidator(
    v.object({
      _id: v.id("comments"),
      _creationTime: v.number(),
      body: v.string(),
      author: v.union(v.string(), v.null()),
    }),
  ),
  handler: async (ctx, { issue, paginationOpts }) => {
    const { page, ...rest } = await ctx.db
      .query("comments")
      .withIndex("by_issue", (q) => q.eq("issue", issue))
      .order("desc")
      .paginate(paginationOpts);
    const withAuthors = page.map(async ({ _id, _creationTime, body, author }) => {
      const member = author === undefined ? null : await ctx.db.get("members", author);
      return { _id, _creationTime, body, author: member?.name ?? null };
    });
    return { ...rest, page: await Promise.all(withAuthors) };
  },
});

/** Adds a comment. */
export const add = mutation({
  args: { issue: v.id("issues"), author: v.id("members"), body: v.string() },
  returns: v.id("comments"),
  handler: async (ctx, { issue, author, body }) => {
    await ctx.runQuery(internal.members.nameOf, { member: author });
    if ((await ctx.db.get("issues", issue)) === null) {
      refuse("no_issue", "This issue does not exist any more.");
    }
    return await ctx.db.insert("comments", { issue, author, body: text("A comment", body, 4000) });
  },
});
