// SQL in functions.
import { sql } from "pg-live";
import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

/** A join of a table of documents and one of plain SQL. */
export const stars = query({
  args: { least: v.number() },
  handler: async (ctx, { least }) =>
    await sql<{ author: string; team: string | null; notes: bigint; stars: number }>`
      SELECT n.author, p.team, count(*) AS notes, sum(n.stars) AS stars
      FROM notes AS n LEFT JOIN people AS p ON p.name = n.author
      GROUP BY n.author, p.team HAVING sum(n.stars) >= ${least} ORDER BY n.author`,
});

export const add = mutation({
  args: { author: v.string(), stars: v.number() },
  handler: async (ctx, args) => {
    await ctx.db.insert("notes", args);
    // Sees what the mutation has written.
    const [{ mine }] = await sql<{ mine: bigint }>`SELECT count(*) AS mine FROM notes WHERE author = ${args.author}`;
    const changed = await sql.execute`UPDATE people SET active = true WHERE name = ${args.author}`;
    return { mine, changed };
  },
});

const outcome = (promise: Promise<unknown>) => promise.then(() => "done", (error: any) => String(error.message));

export const refusedInQueries = query({
  args: {},
  handler: async () => [
    await outcome(sql`INSERT INTO people (name) VALUES (${"x"})`),
    await outcome(sql`SELECT 1; SELECT 2`),
    await outcome(sql`SELECT 1 / ${0}::int`),
    await outcome((sql as any)("SELECT 1")),
    await outcome(sql`SELECT ${1}::int AS one`),
  ],
});

export const refusedInMutations = mutation({
  args: {},
  handler: async () => [
    await outcome(sql`CREATE TABLE more ()`),
    await outcome(sql`COMMIT`),
    await outcome(sql`INSERT INTO people (name) VALUES (NULL)`),
    await outcome(sql`SELECT 1`),
  ],
});

export const random = query({ args: {}, handler: async () => await sql`SELECT random() AS r` });
