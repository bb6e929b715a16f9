import { paginationOptsValidator, paginationResultValidator } from "convex/server";
import { type Infer, v } from "convex/values";
import { internal } from "./_generated/api";
import type { Doc } from "./_generated/dataModel";
import { mutation, query, type QueryCtx } from "./_generated/server";
import { checkQuantity, refuse } from "./lib/errors";
import { orderStatus } from "./schema";

const MAX_LINES = 20;

/** An order as the page shows it, with the names of its products. */
const shown = v.object({
  _id: v.id("orders"),
  _creationTime: v.number(),
  customer: v.string(),
  status: orderStatus,
  total: v.int64(),
  lines: v.array(v.object({ product: v.string(), quantity: v.number() })),
});

/** The orders, newest first: all, or those of a status. */
export const list = query({
  args: { status: v.optional(orderStatus), paginationOpts: paginationOptsValidator },
  returns: paginationResultValidator(shown),
  handler: async (ctx, { status, paginationOpts }) => {
    const orders = ctx.db.query("orders");
    const found = status === undefined ? orders : orders.withIndex("by_status", (q) => q.eq("status", status));
    const { page, ...rest } = await found.order("desc").paginate(paginationOpts);
    return { ...rest, page: await Promise.all(page.map((order) => withLines(ctx, order))) };
  },
});

async function withLines(ctx: QueryCtx, order: Doc<"orders">): Promise<Infer<typeof shown>> {
  const lines = await ctx.db
    .query("lines")
    .withIndex("by_order", (q) => q.eq("order", order._id))
    .take(MAX_LINES);
  const named = lines.map(async ({ product, quantity }) => ({
    product: (await ctx.db.get("products", product))?.name ?? "A product of old",
    quantity,
  }));
  return { ...order, lines: await Promise.all(named) };
}

/**
 * Places an order: takes all of it from the stock, or nothing. However many do so at the same time, nothing is
 * sold twice: mutations are serializable, so one that read a stock that another has changed is run again.
 */
export const place = mutation({
  args: {
    customer: v.string(),
    items: v.array(v.object({ product: v.id("products"), quantity: v.number() })),
  },
  returns: v.id("orders"),
  handler: async (ctx, args) => {
    const customer = args.customer.trim();
    if (customer === "") {
      refuse("no_customer", "Please say who you are.");
    }
    if (args.items.length === 0 || args.items.length > MAX_LINES) {
      refuse("bad_items", `An order has 1 to ${MAX_LINES} products.`);
    }
    const order = await ctx.db.insert("orders", { customer, status: "placed", total: 0n });
    let total = 0n;
    for (const { product, quantity } of args.items) {
      checkQuantity(quantity);
      const price = await ctx.runMutation(internal.stock.take, { product, quantity });
      await ctx.db.insert("lines", { order, product, quantity, price });
      total += price * BigInt(quantity);
    }
    await ctx.db.patch("orders", order, { total });
    return order;
  },
});

/** Cancels an order that was not shipped, and puts what was ordered back. */
export const cancel = mutation({
  args: { order: v.id("orders") },
  returns: v.null(),
  handler: async (ctx, { order: id }) => {
    const order = await ctx.db.get("orders", id);
    if (order === null || order.status !== "placed") {
      return refuse("not_waiting", "This order is not waiting to be shipped any more.");
    }
    await ctx.db.patch("orders", id, { status: "cancelled" });
    const lines = ctx.db.query("lines").withIndex("by_order", (q) => q.eq("order", id));
    for await (const { product, quantity } of lines) {
      await ctx.runMutation(internal.stock.put, { product, quantity });
    }
    return null;
  },
});
