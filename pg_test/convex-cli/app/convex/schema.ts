import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  notes: defineTable({
    author: v.string(),
    body: v.string(),
    stars: v.optional(v.number()),
    big: v.optional(v.int64()),
  }).index("by_author", ["author"]),
});
