// Functions that call functions, by the bare syscalls.
const register = (kind, visibility, handler, args = { type: "any" }, returns = null) =>
  Object.assign((context, input) => handler(context, input), {
    [`is${kind}`]: true,
    [`is${visibility}`]: true,
    [`invoke${kind}`]: async (text) => JSON.stringify((await handler(JSON.parse(text)[0])) ?? null),
    exportArgs: () => JSON.stringify(args),
    exportReturns: () => JSON.stringify(returns),
  });
const query = (handler, ...validators) => register("Query", "Public", handler, ...validators);
const mutation = (handler, ...validators) => register("Mutation", "Public", handler, ...validators);
const call = async (op, args) => JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(args)));
const run = (udfType, name, args = {}, more = {}) =>
  call("1.0/runUdf", { udfType, name: `nested:${name}`, args, ...more });
const insert = (body) => call("1.0/insert", { table: "entries", value: { body } }).then(({ _id }) => _id);
const firstLine = (error) => error.message.split("\n")[0];
const refused = (promise) => promise.then(() => "not refused", firstLine);

async function* rows() {
  const source = { type: "FullTableScan", tableName: "entries", order: "asc" };
  const { queryId } = JSON.parse(Convex.syscall("1.0/queryStream", JSON.stringify({ query: { source, operators: [] } })));
  for (;;) {
    const { value, done } = await call("1.0/queryStreamNext", { queryId });
    if (done) return;
    yield value;
  }
}
async function notes() {
  const found = [];
  for await (const row of rows()) found.push(row.body);
  return found;
}

export const list = query(notes);
export const get = query(({ id }) => call("1.0/get", { id }));
export const listBelow = query(() => run("query", "list"));
export const add = mutation(async ({ body }) => (await insert(body), null));
export const addInternal = register("Mutation", "Internal", async ({ body }) => (await insert(body), "internal"));
export const addAndThrow = mutation(async ({ body }) => {
  console.log("about to fail");
  await insert(body);
  throw new Error("on purpose");
});

// A failed mutation undoes its own writes only.
export const catching = mutation(async () => {
  await insert("outer 1");
  const caught = await refused(run("mutation", "addAndThrow", { body: "lost" }));
  await run("mutation", "add", { body: "inner" });
  await insert("outer 2");
  return { caught, notes: await run("query", "list") };
});
export const catchingAny = mutation(async ({ body }) => {
  await insert("before it");
  const caught = await refused(run("mutation", "add", { body }));
  await insert("and after it");
  return caught;
});
// The writes of the called mutation go with those of the calling one.
export const failingOutside = mutation(async () => {
  await run("mutation", "add", { body: "lost" });
  throw new Error("outside");
});
// A query that is read row by row survives the rollback of a mutation called in between.
export const cursorOverRollback = mutation(async () => {
  const seen = [];
  for await (const row of rows()) {
    seen.push(row.body);
    await refused(run("mutation", "addAndThrow", { body: "lost" }));
  }
  return seen;
});
// A table that a failed mutation made is gone, and can be made again.
export const makeTable = mutation(async ({ table }) => {
  await call("1.0/insert", { table, value: { n: 1 } });
  throw new Error("after the table");
});
export const tableOverRollback = mutation(async ({ table }) => {
  const caught = await refused(run("mutation", "makeTable", { table }));
  const before = await call("1.0/count", { table });
  await call("1.0/insert", { table, value: { n: 2 } });
  return { caught, before, after: await call("1.0/count", { table }) };
});
// In the order of the calls, one at a time.
export const parallel = mutation(async () => {
  const results = await Promise.all([
    run("query", "list"),
    run("mutation", "add", { body: "p1" }),
    run("query", "list"),
    run("mutation", "add", { body: "p2" }),
    run("query", "list"),
  ]);
  return results;
});
// At the snapshot at which the outermost function began.
export const stale = mutation(async () => {
  await insert("not seen");
  await run("mutation", "add", { body: "not seen either" });
  return { then: await run("snapshotQuery", "listBelow"), now: (await run("query", "list")).length };
});
export const deep = query(({ n }) => (n === 0 ? "bottom" : run("query", "deep", { n: n - 1 })));
export const clock = query(() => ({ now: Date.now(), random: Math.random() }));
export const clocks = mutation(async () => {
  const all = [{ now: Date.now(), random: Math.random() }, await run("query", "clock"), await run("query", "clock")];
  return { times: new Set(all.map(({ now }) => now)).size, randoms: new Set(all.map(({ random }) => random)).size };
});
export const logs = mutation(async () => {
  console.log("before");
  await refused(run("mutation", "addAndThrow", { body: "x" }));
  console.log("after");
});
const text = { type: "object", value: { text: { fieldType: { type: "string" }, optional: false } } };
export const strict = query(({ text }) => (text === "wrong" ? 7 : text), text, { type: "string" });
export const data = query(() => {
  const error = new Error("with data");
  error.ConvexErrorSymbol = Symbol.for("ConvexError");
  error[error.ConvexErrorSymbol] = true;
  error.data = JSON.stringify({ code: 7 });
  throw error;
});
export const refusals = mutation(async () => ({
  mutationAsQuery: await refused(run("query", "add", {})),
  missing: await refused(run("query", "nothing")),
  arguments: await refused(run("query", "strict", { text: 1 })),
  result: await refused(run("query", "strict", { text: "wrong" })),
  right: await run("query", "strict", { text: "right" }),
  kind: await refused(run("action", "list")),
  data: await run("query", "data").then(() => 0, (error) => error.data),
  internal: await run("mutation", "addInternal", { body: "by an internal function" }),
  deep: await run("query", "deep", { n: 7 }),
  deeper: await refused(run("query", "deep", { n: 8 })),
  component: await refused(call("1.0/runUdf", { udfType: "query", args: {}, reference: "_reference/childComponent/a/b" })),
  noAddress: await refused(call("1.0/runUdf", { udfType: "query", args: {} })),
}));
export const fromQuery = query(async () => ({
  mutation: await refused(run("mutation", "add", { body: "x" })),
  stale: await refused(run("snapshotQuery", "list")),
}));
export const writesInQuery = query(() => insert("x"));
export const queryWrites = mutation(() => refused(run("query", "writesInQuery")));

export const wide = query(({ n }) => new Array(n).fill(1));
export const nest = query(({ n }) => {
  let value = [];
  for (let i = 1; i < n; i++) value = [value];
  return value;
});
// What ends a function that is called ends its caller, too.
export const busy = query(() => {
  for (let i = 0; i < 1e6; i++);
});
export const forever = query(() => {
  for (;;);
});
export const busyForever = mutation(async () => {
  for (;;) await refused(run("query", "busy"));
});
export const catchForever = mutation(() => refused(run("query", "forever")));

// Handles.
const handle = (name) => call("1.0/createFunctionHandle", { name: `nested:${name}` });
export const handleOf = query(({ name }) => handle(name));
export const byHandle = query(({ functionHandle }) => call("1.0/runUdf", { udfType: "query", args: {}, functionHandle }));
export const byReference = query(() =>
  call("1.0/runUdf", { udfType: "query", args: {}, reference: "_reference/function/nested:list" }));

// Limits and figures.
export const metrics = query(async () => {
  await notes();
  return call("1.0/getTransactionMetrics", {});
});
export const name = query(() => call("1.0/getFunctionMetadata", {}).then(({ name }) => name));
export const names = query(async () => [await run("query", "name"), await call("1.0/getFunctionMetadata", {}).then(({ name }) => name)]);
export const limited = mutation(async ({ limits, name = "list", args = {}, type = "query" }) => {
  const inner = await refused(run(type, name, args, { transactionLimits: limits }));
  return { inner, outer: (await notes()).length };
});
