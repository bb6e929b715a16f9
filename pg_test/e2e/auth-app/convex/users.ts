import { v } from "convex/values";
import { internalQuery, mutation, query } from "./_generated/server";

export const me = query({ args: {}, handler: (ctx) => ctx.auth.getUserIdentity() });

export const note = mutation({
  args: { text: v.string() },
  handler: async (ctx, { text }) => {
    const user = await ctx.auth.getUserIdentity();
    if (user === null) throw new Error("Not signed in");
    await ctx.db.insert("notes", { by: user.tokenIdentifier, text });
  },
});

/** The notes of the caller. */
export const mine = query({
  args: {},
  handler: async (ctx) => {
    const user = await ctx.auth.getUserIdentity();
    const notes = await ctx.db.query("notes").collect();
    return notes.filter(({ by }) => by === user?.tokenIdentifier).map(({ text }) => text);
  },
});

const atImport = process.env.GREETING ?? "nothing";

export const environment = query({
  args: {},
  handler: () => [atImport, process.env.GREETING ?? "nothing", "GREETING" in process.env, process.env.NODE_ENV],
});

export const hidden = internalQuery({ args: {}, handler: () => "hidden" });
