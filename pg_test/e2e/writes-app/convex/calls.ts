// Functions that call functions.
import { createFunctionHandle, makeFunctionReference } from "convex/server";
import { ConvexError, v } from "convex/values";
import { api, internal } from "./_generated/api";
import { internalMutation, internalQuery, mutation, query } from "./_generated/server";

const refused = (promise: Promise<any>) => promise.then(() => "not refused", (error: any) => String(error.message));

export const names = internalQuery({
  args: {},
  returns: v.array(v.string()),
  handler: async (ctx) => (await ctx.db.query("items").collect()).map((item) => item.name),
});
export const add = internalMutation({
  args: { name: v.string() },
  returns: v.id("items"),
  handler: async (ctx, { name }) => {
    console.log("adds", name);
    return await ctx.db.insert("items", { name, rank: 0 });
  },
});
export const addAndThrow = internalMutation({
  args: { name: v.string(), data: v.optional(v.any()) },
  handler: async (ctx, { name, data }) => {
    await ctx.db.insert("items", { name, rank: 0 });
    if (data !== undefined) throw new ConvexError(data);
    throw new TypeError("kaboom");
  },
});

/** A live query all of whose reads are in a query that it calls. */
export const namesBelow = query({
  args: { from: v.optional(v.number()) },
  handler: async (ctx): Promise<string[]> => await ctx.runQuery(internal.calls.names, {}),
});
export const nameOf = internalQuery({
  args: { id: v.id("items") },
  handler: async (ctx, { id }) => (await ctx.db.get("items", id))?.name ?? null,
});
/** The second call depends on what the first one found; both errors and results are read. */
export const pointed = query({
  args: { name: v.string() },
  handler: async (ctx, { name }): Promise<any> => {
    const item = await ctx.db.query("items").withIndex("by_name", (q) => q.eq("name", name)).first();
    if (item?.other === undefined) return null;
    return await ctx.runQuery(api.calls.wrapped, { id: item.other });
  },
});
export const wrapped = query({
  args: { id: v.id("items") },
  handler: async (ctx, { id }): Promise<any> => await ctx.runQuery(internal.calls.nameOf, { id }),
});
export const failsIfNamedBad = internalQuery({
  args: {},
  handler: async (ctx) => {
    const bad = await ctx.db.query("items").withIndex("by_name", (q) => q.eq("name", "bad")).first();
    if (bad !== null) throw new Error("there is a bad one");
    return "all good";
  },
});
export const caught = query({
  args: {},
  handler: async (ctx): Promise<string> =>
    await ctx.runQuery(internal.calls.failsIfNamedBad, {}).catch(() => "caught"),
});

export const ways = mutation({
  args: {},
  handler: async (ctx): Promise<any> => {
    const handle: any = await createFunctionHandle(internal.calls.names);
    const again = await createFunctionHandle(internal.calls.names);
    const call = async (reference: any) => (await ctx.runQuery(reference, {})).length;
    return {
      reference: await call(internal.calls.names),
      name: await call("calls:names"),
      made: await call(makeFunctionReference<"query">("calls:names")),
      handle: await call(handle),
      stable: handle === again,
      handleText: handle,
    };
  },
});
export const callHandle = mutation({
  args: { handle: v.string() },
  handler: async (ctx, { handle }): Promise<any> => await ctx.runQuery(handle as any, {}),
});

export const subtransactions = mutation({
  args: { prefix: v.string() },
  handler: async (ctx, { prefix }): Promise<any> => {
    await ctx.db.insert("items", { name: `${prefix} outer`, rank: 0 });
    const plain = await refused(ctx.runMutation(internal.calls.addAndThrow, { name: `${prefix} lost` }));
    const data = await ctx
      .runMutation(internal.calls.addAndThrow, { name: `${prefix} lost`, data: { code: 7n } })
      .catch((error: any) => (error instanceof ConvexError ? error.data : "no ConvexError"));
    await ctx.runMutation(internal.calls.add, { name: `${prefix} inner` });
    return { plain, data };
  },
});
export const twice = mutation({
  args: {},
  handler: async (ctx): Promise<void> => {
    await ctx.runMutation(internal.calls.once, {});
  },
});
export const once = internalMutation({
  args: {},
  handler: async (ctx): Promise<void> => {
    await ctx.runMutation(internal.calls.addAndThrow, { name: "never" });
  },
});
export const dataThrough = mutation({
  args: {},
  handler: async (ctx): Promise<void> => {
    await ctx.runMutation(internal.calls.addAndThrow, { name: "never", data: { code: 7n } });
  },
});

export const parallel = mutation({
  args: { prefix: v.string() },
  handler: async (ctx, { prefix }): Promise<any> => {
    const count = async () => (await ctx.runQuery(internal.calls.names, {})).length;
    const before = await count();
    const counts = await Promise.all([
      count(),
      ctx.runMutation(internal.calls.add, { name: `${prefix} 1` }).then(() => -1),
      count(),
      ctx.runMutation(internal.calls.add, { name: `${prefix} 2` }).then(() => -1),
      count(),
    ]);
    return counts.map((n) => (n < 0 ? null : n - before));
  },
});
export const stale = mutation({
  args: {},
  handler: async (ctx): Promise<any> => {
    const before = (await ctx.runQuery(internal.calls.names, {})).length;
    await ctx.runMutation(internal.calls.add, { name: "unseen" });
    const stale = (await ctx.runQuery(internal.calls.names, {}, { useStaleSnapshot: true })).length;
    const fresh = (await ctx.runQuery(internal.calls.names, {})).length;
    return [stale - before, fresh - before];
  },
});
export const staleInQuery = query({
  args: {},
  handler: async (ctx): Promise<any> => await (ctx.runQuery as any)(internal.calls.names, {}, { useStaleSnapshot: true }),
});

export const deep = internalQuery({
  args: { n: v.number() },
  handler: async (ctx, { n }): Promise<string> =>
    n === 0 ? "bottom" : await ctx.runQuery(internal.calls.deep, { n: n - 1 }),
});
export const down = query({
  args: { n: v.number() },
  handler: async (ctx, { n }): Promise<string> => await ctx.runQuery(internal.calls.deep, { n: n - 1 }),
});

export const wrongly = mutation({
  args: {},
  handler: async (ctx): Promise<any> => {
    const any: any = ctx;
    return {
      arguments: await refused(any.runMutation(internal.calls.add, { name: 1 })),
      extra: await refused(any.runMutation(internal.calls.add, { name: "x", more: 1 })),
      kind: await refused(any.runQuery(internal.calls.add, { name: "x" })),
      missing: await refused(any.runQuery("calls:nothing", {})),
      returns: await refused(any.runQuery("calls:wrongReturn", {})),
      syntax: await refused(any.runQuery("a b:c", {})),
    };
  },
});
export const wrongReturn = internalQuery({ args: {}, returns: v.string(), handler: async () => 7 as any });

const clockAndDice = () => [Date.now(), Math.random()];
export const dice = internalQuery({ args: {}, handler: async () => clockAndDice() });
export const sameTime = query({
  args: {},
  handler: async (ctx): Promise<any> => {
    const all = [clockAndDice(), await ctx.runQuery(internal.calls.dice, {}), await ctx.runQuery(internal.calls.dice, {})];
    return [new Set(all.map(([time]) => time)).size, new Set(all.map(([, random]) => random)).size];
  },
});

export const limited = mutation({
  args: { limits: v.any() },
  handler: async (ctx, { limits }): Promise<any> => ({
    names: await refused(ctx.runQuery(internal.calls.names, {}, { transactionLimits: limits })),
    add: await refused(ctx.runMutation(internal.calls.add, { name: "limited" }, { transactionLimits: limits })),
  }),
});

export const meta = internalMutation({
  args: {},
  handler: async (ctx) => [await ctx.meta.getFunctionMetadata(), await ctx.meta.getRequestMetadata()],
});
export const metas = mutation({
  args: {},
  handler: async (ctx): Promise<any> => ({
    deployment: await ctx.meta.getDeploymentMetadata(),
    own: await ctx.meta.getFunctionMetadata(),
    request: await ctx.meta.getRequestMetadata(),
    nested: await ctx.runMutation(internal.calls.meta, {}),
    metrics: await ctx.meta.getTransactionMetrics(),
  }),
});
