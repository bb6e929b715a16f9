import { v } from "convex/values";
import { internal } from "./_generated/api";
import { mutation, query } from "./_generated/server";
import { checkQuantity } from "./lib/errors";

/** The products by name, with what is in stock. */
export const list = query({
  args: {},
  handler: async (ctx) => await ctx.db.query("products").withIndex("by_name").take(200),
});

/** Adds to the stock of a product. */
export const restock = mutation({
  args: { product: v.id("products"), quantity: v.number() },
  returns: v.null(),
  handler: async (ctx, { product, quantity }) => {
    checkQuantity(quantity);
    await ctx.runMutation(internal.stock.put, { product, quantity });
    return null;
  },
});
