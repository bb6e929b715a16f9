// SQL in queries and mutations that pg_live runs. Values reach statements as parameters only.
import { convexToJson, jsonToConvex, type JSONValue, type Value } from "convex/values";

/** What the host of functions offers. */
declare const Convex: { asyncSyscall(op: string, args: string): Promise<string> };

/** A row: one member per column. */
export type Row = Record<string, Value>;

interface Answer {
  rows: Row[];
  count: number;
}

async function run(parts: TemplateStringsArray, values: readonly Value[]): Promise<Answer> {
  if (!Array.isArray(parts) || !Object.hasOwn(parts, "raw")) {
    throw new TypeError("sql is a tag of templates: write sql`SELECT ... ${value}`, without parentheses");
  }
  const text = parts.reduce((before, part, index) => `${before}$${index}${part}`);
  const params = values.map((value, index) => {
    if (value === undefined) {
      throw new TypeError(`the value of placeholder ${index + 1} is undefined; null is SQL's NULL`);
    }
    return convexToJson(value);
  });
  const answer = await Convex.asyncSyscall("pg_live/sql", JSON.stringify({ sql: text, params }));
  return jsonToConvex(JSON.parse(answer) as JSONValue) as unknown as Answer;
}

/** Runs one statement; each `${value}` is a parameter. Gives its rows. */
export async function sql<T = Row>(parts: TemplateStringsArray, ...values: Value[]): Promise<T[]> {
  return (await run(parts, values)).rows as T[];
}

/** As `sql`, but gives how many rows were changed, or found. */
sql.execute = async (parts: TemplateStringsArray, ...values: Value[]): Promise<number> => (await run(parts, values)).count;
