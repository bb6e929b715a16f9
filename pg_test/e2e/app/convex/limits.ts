import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

/** Each of these goes too far in its own way. */
const excess: Record<string, () => unknown> = {
  heap: () => {
    const kept = [];
    for (;;) {
      kept.push(new Array(1000).fill({}));
    }
  },
  hugeArray: () => "x".repeat(2 ** 28).split(""),
  buffers: () => {
    const kept = [];
    for (;;) {
      kept.push(new Uint8Array(2 ** 24).fill(1));
    }
  },
  recursion: () => {
    const deeper = (n: number): number => deeper(n + 1) + 1;
    return deeper(0);
  },
  regex: () => /^(a+)+$/.test(`${"a".repeat(40)}b`),
  loop: () => {
    for (;;) {
      // Runs until the server's limit ends it.
    }
  },
  finallyLoop: () => {
    try {
      for (;;) {
        // As above.
      }
    } finally {
      for (;;) {
        // Not even this keeps it alive.
      }
    }
  },
  microtasks: () => {
    const again = (): Promise<never> => Promise.resolve().then(again);
    return again();
  },
  pending: () => new Promise(() => {}),
  bigResult: () => "x".repeat(40 * 2 ** 20),
  prototypes: () => {
    Object.assign(Array.prototype, { map: null });
    return [1];
  },
  timer: () => new Promise((resolve) => setTimeout(resolve, 1)),
  fetch: () => fetch("http://127.0.0.1/"),
};

export const exceed = query({
  args: { how: v.string() },
  handler: async (_ctx, { how }) => await excess[how]?.(),
});

/** What an earlier call left behind. */
export const callsSeen = query({
  args: {},
  handler: async () => {
    const shared = globalThis as { calls?: number };
    shared.calls = (shared.calls ?? 0) + 1;
    return [shared.calls, [1].map((n) => n)];
  },
});

export const insertMany = mutation({
  args: { count: v.number() },
  handler: async (ctx, { count }) => {
    for (let n = 0; n < count; n += 1) {
      await ctx.db.insert("messages", { author: "limits", body: `${n}`, channel: "limits" });
    }
    return null;
  },
});

export const insertText = mutation({
  args: {},
  handler: async (ctx) => await ctx.db.insert("messages", { author: "a\0b", body: "x", channel: "limits" }),
});
