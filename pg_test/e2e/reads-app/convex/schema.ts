import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  items: defineTable({
    group: v.string(),
    rank: v.number(),
    hidden: v.optional(v.boolean()),
    any: v.optional(v.any()),
  })
    .index("by_group_rank", ["group", "rank"])
    .index("by_any", ["any"])
    .index("staged_rank", { fields: ["rank"], staged: true })
    .searchIndex("search_group", { searchField: "group" })
    .vectorIndex("vector_any", { vectorField: "any", dimensions: 2 }),

  others: defineTable({ name: v.string() }),

  files: defineTable({ file: v.id("_storage"), job: v.optional(v.id("_scheduled_functions")) }),
});
