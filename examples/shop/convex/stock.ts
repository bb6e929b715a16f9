// The only functions that change a stock. Clients cannot call them.
import { v } from "convex/values";
import { internalMutation } from "./_generated/server";
import { refuse } from "./lib/errors";

/** Takes so many of a product and returns its price. Refuses if there are not enough. */
export const take = internalMutation({
  args: { product: v.id("products"), quantity: v.number() },
  returns: v.int64(),
  handler: async (ctx, args) => {
    const product = await ctx.db.get("products", args.product);
    if (product === null) {
      return refuse("no_product", "This product is not sold any more.");
    }
    if (product.stock < args.quantity) {
      const left = product.stock === 0 ? "sold out" : `only ${product.stock} left`;
      refuse("out_of_stock", `${product.name}: ${left}.`);
    }
    await ctx.db.patch("products", product._id, { stock: product.stock - args.quantity });
    return product.price;
  },
});

/** Puts so many of a product onto its shelf, if it is still sold. */
export const put = internalMutation({
  args: { product: v.id("products"), quantity: v.number() },
  returns: v.null(),
  handler: async (ctx, args) => {
    const product = await ctx.db.get("products", args.product);
    if (product !== null) {
      await ctx.db.patch("products", product._id, { stock: product.stock + args.quantity });
    }
    return null;
  },
});
