import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  messages: defineTable({
    author: v.string(),
    body: v.string(),
    channel: v.optional(v.string()),
  }).index("by_channel", ["channel"]),

  accounts: defineTable({
    name: v.string(),
    balance: v.number(),
  }).index("by_name", ["name"]),

  everything: defineTable({
    text: v.string(),
    number: v.number(),
    int: v.int64(),
    flag: v.boolean(),
    bytes: v.bytes(),
    list: v.array(v.union(v.string(), v.number())),
    nested: v.object({ a: v.optional(v.number()), b: v.null() }),
    maybe: v.optional(v.union(v.string(), v.null())),
    any: v.any(),
  }),
});
