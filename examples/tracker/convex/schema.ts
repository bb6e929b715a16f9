import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export const status = v.union(v.literal("open"), v.literal("doing"), v.literal("done"));
export const priority = v.union(v.literal("low"), v.literal("normal"), v.literal("high"), v.literal("urgent"));

/** What happened to an issue. */
export const event = v.union(
  v.object({ kind: v.literal("created") }),
  v.object({ kind: v.literal("status"), from: status, to: status }),
  v.object({ kind: v.literal("priority"), from: priority, to: priority }),
  v.object({ kind: v.literal("assigned"), to: v.union(v.id("members"), v.null()) }),
);

export default defineSchema({
  members: defineTable({ name: v.string() }).index("by_name", ["name"]),

  // `issues` counts up: it is the number of the project's newest issue.
  projects: defineTable({ key: v.string(), name: v.string(), issues: v.number() }).index("by_key", ["key"]),

  issues: defineTable({
    project: v.id("projects"),
    number: v.number(),
    title: v.string(),
    description: v.string(),
    status,
    priority,
    author: v.id("members"),
    assignee: v.optional(v.id("members")),
  })
    .index("by_project", ["project"])
    .index("by_project_number", ["project", "number"])
    .index("by_project_status", ["project", "status"])
    .index("by_project_assignee", ["project", "assignee"]),

  // A comment without an author was written by none of the app's users: by SQL, say.
  comments: defineTable({
    issue: v.id("issues"),
    author: v.optional(v.id("members")),
    body: v.string(),
  }).index("by_issue", ["issue"]),

  activity: defineTable({ issue: v.id("issues"), member: v.id("members"), event }).index("by_issue", ["issue"]),
});
