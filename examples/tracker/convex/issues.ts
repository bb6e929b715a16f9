import { paginationOptsValidator, paginationResultValidator } from "convex/server";
import { type Infer, v } from "convex/values";
import { internal } from "./_generated/api";
import type { Doc, Id } from "./_generated/dataModel";
import { mutation, type MutationCtx, query, type QueryCtx } from "./_generated/server";
import { refuse, text } from "./lib/errors";
import { event, priority, status } from "./schema";

const MAX_TITLE = 200;
const MAX_DESCRIPTION = 10_000;

/** An issue as lists show it, with the name of who does it. */
const listed = v.object({
  _id: v.id("issues"),
  _creationTime: v.number(),
  number: v.number(),
  title: v.string(),
  status,
  priority,
  assignee: v.union(v.object({ _id: v.id("members"), name: v.string() }), v.null()),
});

/** The issues of a project, newest first: all, or those of a status, of somebody, of a priority. */
export const list = query({
  args: {
    project: v.id("projects"),
    status: v.optional(status),
    assignee: v.optional(v.id("members")),
    priority: v.optional(priority),
    paginationOpts: paginationOptsValidator,
  },
  returns: paginationResultValidator(listed),
  handler: async (ctx, args) => {
    const issues = ctx.db.query("issues");
    const { project, assignee } = args;
    // One index leads to them; the other conditions are checked on the way.
    const found =
      args.status !== undefined
        ? issues.withIndex("by_project_status", (q) => q.eq("project", project).eq("status", args.status!))
        : assignee !== undefined
          ? issues.withIndex("by_project_assignee", (q) => q.eq("project", project).eq("assignee", assignee))
          : issues.withIndex("by_project", (q) => q.eq("project", project));
    const { page, ...rest } = await found
      .order("desc")
      .filter((q) =>
        q.and(
          assignee === undefined ? true : q.eq(q.field("assignee"), assignee),
          args.priority === undefined ? true : q.eq(q.field("priority"), args.priority),
        ),
      )
      .paginate(args.paginationOpts);
    return { ...rest, page: await Promise.all(page.map((issue) => asListed(ctx, issue))) };
  },
});

async function asListed(ctx: QueryCtx, issue: Doc<"issues">): Promise<Infer<typeof listed>> {
  const { _id, _creationTime, number, title, status, priority } = issue;
  const assignee = issue.assignee === undefined ? null : await ctx.db.get("members", issue.assignee);
  return {
    _id,
    _creationTime,
    number,
    title,
    status,
    priority,
    assignee: assignee && { _id: assignee._id, name: assignee.name },
  };
}

/** One issue by what people call it, WEB-12, with its project and its people; null if there is none. */
export const byName = query({
  args: { key: v.string(), number: v.number() },
  handler: async (ctx, { key, number }) => {
    const project = await ctx.db
      .query("projects")
      .withIndex("by_key", (q) => q.eq("key", key))
      .unique();
    const issue =
      project &&
      (await ctx.db
        .query("issues")
        .withIndex("by_project_number", (q) => q.eq("project", project._id).eq("number", number))
        .first());
    return (
      issue && {
        ...issue,
        project,
        author: await ctx.db.get("members", issue.author),
        assignee: issue.assignee === undefined ? null : await ctx.db.get("members", issue.assignee),
      }
    );
  },
});

/** Adds an issue under the project's next number, and returns that. */
export const create = mutation({
  args: {
    project: v.id("projects"),
    title: v.string(),
    description: v.optional(v.string()),
    priority: v.optional(priority),
    author: v.id("members"),
  },
  returns: v.number(),
  handler: async (ctx, args) => {
    await ctx.runQuery(internal.members.nameOf, { member: args.author });
    const project = await ctx.db.get("projects", args.project);
    if (project === null) {
      return refuse("no_project", "This project does not exist any more.");
    }
    // Two that are created at once read the same count; one of them is run again and gets the next number.
    const number = project.issues + 1;
    await ctx.db.patch("projects", project._id, { issues: number });
    const issue = await ctx.db.insert("issues", {
      project: project._id,
      number,
      title: text("A title", args.title, MAX_TITLE),
      description: (args.description ?? "").slice(0, MAX_DESCRIPTION),
      status: "open",
      priority: args.priority ?? "normal",
      author: args.author,
    });
    await record(ctx, issue, args.author, { kind: "created" });
    return number;
  },
});

/** Changes an issue and records what has changed. `assignee: null` takes it from whoever had it. */
export const update = mutation({
  args: {
    issue: v.id("issues"),
    member: v.id("members"),
    title: v.optional(v.string()),
    status: v.optional(status),
    priority: v.optional(priority),
    assignee: v.optional(v.union(v.id("members"), v.null())),
  },
  returns: v.null(),
  handler: async (ctx, { issue: id, member, ...change }) => {
    const issue = await ctx.db.get("issues", id);
    if (issue === null) {
      return refuse("no_issue", "This issue does not exist any more.");
    }
    if (change.title !== undefined) {
      await ctx.db.patch("issues", id, { title: text("A title", change.title, MAX_TITLE) });
    }
    if (change.status !== undefined && change.status !== issue.status) {
      await ctx.db.patch("issues", id, { status: change.status });
      await record(ctx, id, member, { kind: "status", from: issue.status, to: change.status });
    }
    if (change.priority !== undefined && change.priority !== issue.priority) {
      await ctx.db.patch("issues", id, { priority: change.priority });
      await record(ctx, id, member, { kind: "priority", from: issue.priority, to: change.priority });
    }
    if (change.assignee !== undefined && change.assignee !== (issue.assignee ?? null)) {
      if (change.assignee !== null) {
        await ctx.runQuery(internal.members.nameOf, { member: change.assignee });
      }
      await ctx.db.patch("issues", id, { assignee: change.assignee ?? undefined });
      await record(ctx, id, member, { kind: "assigned", to: change.assignee });
    }
    return null;
  },
});

/** Notes what happened, in the same transaction. */
async function record(ctx: MutationCtx, issue: Id<"issues">, member: Id<"members">, what: Infer<typeof event>) {
  await ctx.runMutation(internal.activity.record, { issue, member, event: what });
}
