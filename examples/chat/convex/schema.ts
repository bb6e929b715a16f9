import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  channels: defineTable({
    name: v.string(),
  }).index("by_name", ["name"]),

  // A message without a channel is in the default channel, so a plain
  // INSERT INTO messages(author, body) shows up in the app.
  messages: defineTable({
    author: v.string(),
    body: v.string(),
    channel: v.optional(v.string()),
  }).index("by_channel", ["channel"]),
});
