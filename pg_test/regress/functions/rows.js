// Ways to read a table of many rows, to count what each fetches.
const register = (handler) =>
  Object.assign((context, input) => handler(context, input), {
    isQuery: true,
    isPublic: true,
    invokeQuery: async (text) => JSON.stringify((await handler(JSON.parse(text)[0])) ?? null),
    exportArgs: () => JSON.stringify({ type: "any" }),
    exportReturns: () => "null",
  });
const call = async (op, args) => JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(args)));

const byRank = (order, range, operators) => ({
  source: { type: "IndexRange", indexName: "rows.by_rank", range, order },
  operators,
});
const scan = (operators) => ({ source: { type: "FullTableScan", tableName: "rows", order: "desc" }, operators });
const byId = (operators) => ({ source: { type: "IndexRange", indexName: "rows.by_id", range: [], order: "asc" }, operators });
const even = { filter: { $eq: [{ $mod: [{ $field: "rank" }, { $literal: 2 }] }, { $literal: 0 }] } };

/** How many documents the query gives before `upto` of them are there. */
async function count(query, upto = Infinity) {
  const { queryId } = JSON.parse(Convex.syscall("1.0/queryStream", JSON.stringify({ query })));
  let n = 0;
  while (n < upto && !(await call("1.0/queryStreamNext", { queryId })).done) n += 1;
  Convex.syscall("1.0/queryCleanup", JSON.stringify({ queryId }));
  return n;
}

export const take = register(({ n }) => count(byRank("asc", [], [{ limit: n }])));
export const newest = register(({ n }) => count(scan([{ limit: n }])));
export const firstIds = register(({ n }) => count(byId([{ limit: n }])));
export const takeEven = register(({ n }) => count(byRank("asc", [], [even, { limit: n }])));
export const leaveAfter = register(({ n }) => count(byRank("asc", [], []), n));
export const get = register(async ({ id }) => ((await call("1.0/get", { id })) === null ? 0 : 1));

const page = ({ n, cursor = null, endCursor = null, operators = [], order = "asc" }) =>
  call("1.0/queryPage", { query: byRank(order, [], operators), cursor, endCursor, pageSize: n });
export const pageOf = register(async (options) => {
  const { page: rows, ...rest } = await page(options);
  return { ranks: rows.map(({ rank }) => rank), ...rest };
});
export const pageLength = register(async (options) => (await page(options)).page.length);
export const evenPageLength = register(async (options) => (await page({ ...options, operators: [even] })).page.length);
