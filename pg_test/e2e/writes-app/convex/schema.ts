import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  items: defineTable({
    name: v.string(),
    rank: v.number(),
    note: v.optional(v.union(v.string(), v.null())),
    other: v.optional(v.id("items")),
    extra: v.optional(v.any()),
  })
    .index("by_name", ["name"])
    .index("by_rank", ["rank", "name"]),
  others: defineTable({ n: v.number() }),
});
