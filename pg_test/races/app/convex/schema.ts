import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  /** What an account has is its balance and the sum of its entries. */
  accounts: defineTable({ name: v.string(), half: v.number(), balance: v.number() })
    .index("by_name", ["name"])
    .index("by_half", ["half"]),
  entries: defineTable({ account: v.string(), half: v.number(), amount: v.number() })
    .index("by_account", ["account"])
    .index("by_half", ["half"]),
});
