import { v } from "convex/values";
import { mutation } from "./_generated/server";

const PRODUCTS = [
  ["TEA-01", "Assam tea", "Strong and malty, 250 g", 890n, 24],
  ["COF-01", "Espresso beans", "Dark roast, 500 g", 1450n, 12],
  ["MUG-01", "Enamel mug", "White with a blue rim", 1200n, 8],
  ["POT-01", "Teapot", "Cast iron, 0.8 litres", 4900n, 3],
  ["KET-01", "Kettle", "With a long, thin spout", 5900n, 5],
  ["FIL-01", "Paper filters", "A hundred of them", 450n, 60],
  ["GRI-01", "Hand grinder", "Ceramic burrs", 3900n, 1],
  ["JAR-01", "Storage jar", "Keeps a pound of beans fresh", 1650n, 0],
] as const;

/** Fills an empty shop with products. Does nothing if there is one. */
export const fill = mutation({
  args: {},
  returns: v.null(),
  handler: async (ctx) => {
    if ((await ctx.db.query("products").first()) === null) {
      for (const [sku, name, about, price, stock] of PRODUCTS) {
        await ctx.db.insert("products", { sku, name, about, price, stock });
      }
    }
    return null;
  },
});
