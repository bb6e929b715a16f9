// The table and the live query of the feed as an app of Zero has them.
import { createBuilder, createSchema, defineQueries, defineQuery, number, string, table } from "@rocicorp/zero";

const entries = table("entries")
  .columns({ id: number(), created_at: number(), topic: string(), n: number(), body: string() })
  .primaryKey("id");

export const schema = createSchema({ tables: [entries] });
const builder = createBuilder(schema);

export const queries = defineQueries({
  newest: defineQuery(({ args: { topic } }) => builder.entries.where("topic", topic).orderBy("id", "desc").limit(1)),
});
