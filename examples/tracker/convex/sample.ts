import { v } from "convex/values";
import { api } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
import { mutation } from "./_generated/server";

const PEOPLE = ["Ada Lovelace", "Grace Hopper", "Barbara Liskov", "Edgar Codd"];

const ISSUES = [
  ["Sign-in page jumps when the font arrives", "done", "low"],
  ["Export of invoices leaves out the last day of the month", "done", "urgent"],
  ["Keyboard shortcuts for the board", "open", "low"],
  ["Search forgets its filters on reload", "done", "normal"],
  ["Avatars are blurred on displays of high density", "open", "low"],
  ["Explain why a payment was declined", "doing", "high"],
  ["Dates in mails are in the server's time zone", "done", "high"],
  ["Upload of large files fails behind the proxy", "doing", "urgent"],
  ["Empty states for new teams", "open", "normal"],
  ["Settings page for notifications", "open", "normal"],
  ["Totals differ by a cent after discounts", "doing", "high"],
  ["Dark theme: links are hard to read", "open", "normal"],
  ["Let admins merge two customers", "open", "high"],
  ["Deploys should not log people out", "open", "urgent"],
] as const;

/** Fills an empty tracker with people, projects and issues. Does nothing if there is a project. */
export const fill = mutation({
  args: {},
  returns: v.null(),
  handler: async (ctx) => {
    if ((await ctx.db.query("projects").first()) !== null) {
      return null;
    }
    const members: Id<"members">[] = [];
    for (const name of PEOPLE) {
      members.push(await ctx.runMutation(api.members.join, { name }));
    }
    const someone = (n: number) => members[n % members.length]!;
    const project = await ctx.runMutation(api.projects.create, { key: "WEB", name: "Website" });
    await ctx.runMutation(api.projects.create, { key: "APP", name: "Mobile app" });
    for (const [n, [title, status, priority]] of ISSUES.entries()) {
      const author = someone(n);
      const number = await ctx.runMutation(api.issues.create, { project, title, priority, author });
      const created = await ctx.db
        .query("issues")
        .withIndex("by_project_number", (q) => q.eq("project", project).eq("number", number))
        .unique();
      const issue = created!._id;
      const assignee = status === "open" && n % 2 === 0 ? undefined : someone(n + 1);
      await ctx.runMutation(api.issues.update, { issue, member: someone(n + 2), status, assignee });
      if (status !== "open") {
        await ctx.runMutation(api.comments.add, { issue, author: someone(n + 1), body: "I am looking into it." });
      }
    }
    return null;
  },
});
