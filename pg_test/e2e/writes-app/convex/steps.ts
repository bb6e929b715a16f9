// Runs a list of operations that a test wrote, in one function, and says how each one ended.
import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

declare const Convex: { asyncSyscall(op: string, args: string): Promise<string>; syscall(op: string, args: string): string };

/** "$3" stands for the result of step 3; `undefined` travels as "undefined". */
function filled(value: any, results: any[]): any {
  if (value === "undefined") return undefined;
  if (typeof value === "string" && /^\$\d+$/.test(value)) return results[Number(value.slice(1))].ok;
  if (Array.isArray(value)) return value.map((item) => filled(item, results));
  if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, filled(item, results)]));
  }
  return value;
}

const operations: Record<string, (ctx: any, ...args: any[]) => any> = {
  insert: (ctx, table, value) => ctx.db.insert(table, value),
  patch: (ctx, ...args) => ctx.db.patch(...args),
  replace: (ctx, ...args) => ctx.db.replace(...args),
  delete: (ctx, ...args) => ctx.db.delete(...args),
  get: (ctx, ...args) => ctx.db.get(...args),
  all: (ctx, table) => ctx.db.query(table).collect(),
  newest: (ctx, table) => ctx.db.query(table).order("desc").first(),
  eq: (ctx, table, index, field, value) => ctx.db.query(table).withIndex(index, (q: any) => q.eq(field, value)).collect(),
  from: (ctx, table, index, field, value) => ctx.db.query(table).withIndex(index, (q: any) => q.gte(field, value)).collect(),
  viaTable: async (ctx, table, value) => {
    const t = ctx.db.table(table);
    const id = await t.insert(value);
    await t.patch(id, { name: "patched" });
    const patched = await t.get(id);
    await t.replace(id, { ...value, name: "replaced" });
    const replaced = await t.get(id);
    await t.delete(id);
    return [patched.name, replaced.name, await t.get(id)];
  },
  commitTs: (ctx, table) => ctx.db.insert(table, { n: ctx.db.vars.commitTs }),
  snapshotTs: (ctx) => ctx.meta.getSnapshotTs(),
  raw: async (_ctx, op, args) => JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(args))),
  rawText: async (_ctx, op, args) => JSON.parse(await Convex.asyncSyscall(op, args)),
  rawSync: (_ctx, op, args) => JSON.parse(Convex.syscall(op, JSON.stringify(args))),
};

async function run(ctx: any, steps: any[]) {
  const results: any[] = [];
  for (const [operation, ...args] of steps) {
    try {
      const ok = await operations[operation](ctx, ...filled(args, results));
      results.push({ ok: typeof ok === "bigint" ? String(ok) : (ok ?? null) });
    } catch (error: any) {
      results.push({ error: `${error.message}` });
    }
  }
  return results;
}

const args = { steps: v.array(v.any()) };
export const write = mutation({ args, handler: (ctx, { steps }) => run(ctx, steps) });
export const read = query({ args, handler: (ctx, { steps }) => run(ctx, steps) });
/** Does what it is told, and fails. */
export const writeAndThrow = mutation({
  args,
  handler: async (ctx, { steps }) => {
    await run(ctx, steps);
    throw new Error("after all steps");
  },
});
