import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  messages: defineTable({ body: v.string(), channel: v.string() }).index("by_channel", ["channel"]),
  accounts: defineTable({ name: v.string(), balance: v.number() }).index("by_name", ["name"]),
  counters: defineTable({ name: v.string(), value: v.number() }).index("by_name", ["name"]),
  bulk: defineTable({ text: v.string() }),
});
