// What the npm package makes of `query(...)` and `mutation(...)`, as small as the host allows.
export const register = (kind, handler) =>
  Object.assign((context, input) => handler(context, input), {
    [`is${kind}`]: true,
    isPublic: true,
    [`invoke${kind}`]: async (text) => JSON.stringify((await handler(JSON.parse(text)[0])) ?? null),
    exportArgs: () => JSON.stringify({ type: "any" }),
    exportReturns: () => "null",
  });

const asyncSyscall = Convex.asyncSyscall;
const { parse, stringify } = JSON;

/** An operation of the database. */
export const call = async (op, args) => parse(await asyncSyscall(op, stringify(args)));

export const insert = (text) => call("1.0/insert", { table: "notes", value: { text } });
