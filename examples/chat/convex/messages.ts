import { ConvexError, v } from "convex/values";
import { mutation, query } from "./_generated/server";

/** How many messages a channel shows. */
const PAGE = 50;

/** The longest message, in characters. */
const MAX_BODY = 2000;

/** The newest messages of a channel, newest first. No channel: the default one. */
export const list = query({
  args: { channel: v.optional(v.string()) },
  handler: async (ctx, { channel }) =>
    await ctx.db
      .query("messages")
      .withIndex("by_channel", (q) => q.eq("channel", channel))
      .order("desc")
      .take(PAGE),
});

/** Adds a message and returns its id. */
export const send = mutation({
  args: {
    author: v.string(),
    body: v.string(),
    channel: v.optional(v.string()),
  },
  returns: v.id("messages"),
  handler: async (ctx, { author, body, channel }) => {
    const text = body.trim();
    if (author.trim() === "") {
      throw new ConvexError({ code: "no_author", message: "Please give yourself a name first." });
    }
    if (text === "") {
      throw new ConvexError({ code: "empty", message: "A message needs some text." });
    }
    if (text.length > MAX_BODY) {
      throw new ConvexError({
        code: "too_long",
        message: `A message has at most ${MAX_BODY} characters; this one has ${text.length}.`,
      });
    }
    return await ctx.db.insert("messages", { author: author.trim(), body: text, channel });
  },
});

/** Deletes a message; deleting one that is gone already is no error. */
export const remove = mutation({
  args: { id: v.id("messages") },
  returns: v.null(),
  handler: async (ctx, { id }) => {
    if ((await ctx.db.get("messages", id)) !== null) {
      await ctx.db.delete("messages", id);
    }
    return null;
  },
});
