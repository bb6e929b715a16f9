// A module as a bundler would leave it, without the npm package: what functions look like to the host.
const register = (kind, args, handler) =>
  Object.assign((context, input) => handler(context, input), {
    [`is${kind}`]: true,
    isPublic: true,
    [`invoke${kind}`]: async (text) => JSON.stringify((await handler(JSON.parse(text)[0])) ?? null),
    exportArgs: () => JSON.stringify(args),
    exportReturns: () => "null",
  });
const string = { fieldType: { type: "string" }, optional: false };
const object = (fields) => ({ type: "object", value: fields });
const call = async (op, args) => JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(args)));

async function* rows(query) {
  const { queryId } = JSON.parse(Convex.syscall("1.0/queryStream", JSON.stringify({ query })));
  for (;;) {
    const { value, done } = await call("1.0/queryStreamNext", { queryId });
    if (done) return;
    yield value;
  }
}

async function bodies(query) {
  const found = [];
  for await (const row of rows(query)) found.push(row.body);
  return found;
}

const scan = (order, ...operators) => ({
  source: { type: "FullTableScan", tableName: "messages", order },
  operators,
});
const byAuthor = (range, order = "asc", ...operators) => ({
  source: { type: "IndexRange", indexName: "messages.by_author", range, order },
  operators,
});

export const all = register("Query", object({}), () => bodies(scan("asc")));
export const newest = register("Query", object({ n: { fieldType: { type: "number" }, optional: false } }),
  ({ n }) => bodies(scan("desc", { limit: n })));
export const by = register("Query", object({ author: string }), ({ author }) =>
  bodies(byAuthor([{ type: "Eq", fieldPath: "author", value: author }])));
export const after = register("Query", object({ author: string }), ({ author }) =>
  bodies(byAuthor([{ type: "Gt", fieldPath: "author", value: author }], "desc")));
export const loud = register("Query", object({}), () =>
  bodies(scan("asc", { filter: { $eq: [{ $field: "loud" }, { $literal: true }] } })));
export const count = register("Query", object({}), () => call("1.0/count", { table: "messages" }));
export const get = register("Query", { type: "any" }, ({ id }) => call("1.0/get", { id }));

export const send = register("Mutation", object({ author: string, body: string }), (value) =>
  call("1.0/insert", { table: "messages", value }).then(({ _id }) => _id));
export const insert = register("Mutation", { type: "any" }, ({ table, value }) =>
  call("1.0/insert", { table, value }).then(({ _id }) => _id));
export const patch = register("Mutation", { type: "any" }, async ({ id, value = {}, unset }) => {
  if (unset) value[unset] = { $undefined: null };
  const { _id, _creationTime, ...rest } = await call("1.0/shallowMerge", { id, value });
  return rest;
});
export const replace = register("Mutation", { type: "any" }, async ({ id, value }) => {
  const { _id, _creationTime, ...rest } = await call("1.0/replace", { id, value });
  return rest;
});
export const remove = register("Mutation", { type: "any" }, async ({ id }) => (await call("1.0/remove", { id })).body);
export const sendAndFail = register("Mutation", { type: "any" }, async (value) => {
  await call("1.0/insert", { table: "messages", value });
  throw new Error("after the insert");
});
export const sendHalfAPair = register("Mutation", { type: "any" }, () =>
  call("1.0/insert", { table: "messages", value: { author: "a", body: "\ud83d" } }));
export const sendFromQuery = register("Query", { type: "any" }, (value) =>
  call("1.0/insert", { table: "messages", value }));
export const throwsData = register("Query", { type: "any" }, () => {
  const error = new Error("refused");
  error.ConvexErrorSymbol = Symbol.for("ConvexError");
  error[error.ConvexErrorSymbol] = true;
  error.data = JSON.stringify({ code: 7 });
  throw error;
});
export const never = register("Query", { type: "any" }, () => new Promise(() => {}));
export const forever = register("Query", { type: "any" }, () => {
  for (;;);
});
export const hoard = register("Query", { type: "any" }, () => {
  const kept = [];
  for (;;) kept.push(new Array(1000).fill(kept.length));
});
export const environment = register("Query", { type: "any" }, () => {
  globalThis.left = (globalThis.left ?? 0) + 1;
  return {
    left: globalThis.left,
    frozenClock: Date.now() === Date.now(),
    window: typeof window,
    fetch: typeof fetch,
    evaluated: (() => {
      try {
        return new Function("return 1")();
      } catch (error) {
        return error.name;
      }
    })(),
  };
});
export const fetches = register("Query", { type: "any" }, async () => {
  try {
    await fetch("http://example.invalid");
  } catch {
    return "caught";
  }
});
export const chatty = register("Query", { type: "any" }, async ({ fail = false }) => {
  console.log("one", { two: 2 });
  console.warn("nul \0 and \ud800");
  await call("1.0/count", { table: "messages" });
  if (fail) throw new Error("enough said");
  return null;
});
export const unknown = register("Query", { type: "any" }, () => call("1.0/nothing", {}));
export const normalize = register("Query", { type: "any" }, ({ id }) =>
  JSON.parse(Convex.syscall("1.0/db/normalizeId", JSON.stringify({ table: "messages", idString: id }))).id);
