import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const numbered = { topic: v.number(), n: v.number() };

export default defineSchema({
  accounts: defineTable({ name: v.string(), balance: v.number() }).index("by_name", ["name"]),
  documents: defineTable({ name: v.string(), value: v.number() }),
  entries: defineTable({ topic: v.string(), n: v.number(), body: v.string() }).index("by_topic", ["topic"]),
  posts: defineTable({
    topic: v.string(),
    author: v.string(),
    title: v.string(),
    body: v.string(),
    score: v.number(),
    pinned: v.boolean(),
    tags: v.array(v.string()),
  })
    .index("by_topic", ["topic"])
    .index("by_author_score", ["author", "score"]),
  small: defineTable(numbered).index("by_topic", ["topic"]),
  big: defineTable(numbered).index("by_topic", ["topic"]),
});
