import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  documents: defineTable({ name: v.string(), value: v.number() }),
  entries: defineTable({ topic: v.string(), n: v.number(), body: v.string() }).index("by_topic", ["topic"]),
});
