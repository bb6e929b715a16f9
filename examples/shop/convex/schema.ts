import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export const orderStatus = v.union(v.literal("placed"), v.literal("shipped"), v.literal("cancelled"));

// Money is in cents, as int64: a bigint in SQL.
export default defineSchema({
  products: defineTable({
    sku: v.string(),
    name: v.string(),
    about: v.string(),
    price: v.int64(),
    stock: v.number(),
  })
    .index("by_name", ["name"])
    .index("by_sku", ["sku"]),

  orders: defineTable({
    customer: v.string(),
    status: orderStatus,
    total: v.int64(),
  }).index("by_status", ["status"]),

  // What was ordered, at the price of that moment.
  lines: defineTable({
    order: v.id("orders"),
    product: v.id("products"),
    quantity: v.number(),
    price: v.int64(),
  })
    .index("by_order", ["order"])
    .index("by_product", ["product"]),
});
