// How long readers and writers of a large table wait at most while its schema changes. Beside it the same loops
// without a deploy.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { copyApp, Server } from "../../pg_test/lib/server.mjs";
import { figure } from "../lib/format.mjs";

const APP = fileURLToPath(new URL("../../pg_test/e2e/evolution", import.meta.url));
const QUICK = process.env.BENCH_QUICK === "1";
const ROWS = Number(process.env.BENCH_DEPLOY_ROWS ?? (QUICK ? 50_000 : 1_000_000));
const QUIET_MS = QUICK ? 2_000 : 10_000;

const LOOPS = {
  writer: (n) => ["INSERT INTO items (body, n) VALUES ('bench', $1)", [-n]],
  reader: (n) => ["SELECT body FROM items WHERE n = $1", [n % ROWS]],
};

/** A statement again and again; `longest` is the slowest since it was last asked. */
class Loop {
  #stopped = false;
  #longest = 0;
  #count = 0;

  async start(url, statement) {
    this.client = new pg.Client({ connectionString: url });
    await this.client.connect();
    this.done = this.#run(statement);
  }

  async #run(statement) {
    for (let n = 1; !this.#stopped; n += 1) {
      const [text, values] = statement(n);
      const started = performance.now();
      await this.client.query({ name: "loop", text, values });
      this.#longest = Math.max(this.#longest, performance.now() - started);
      this.#count += 1;
    }
  }

  take() {
    const taken = { longest: this.#longest, count: this.#count };
    this.#longest = 0;
    this.#count = 0;
    return taken;
  }

  async stop() {
    this.#stopped = true;
    await this.done;
    await this.client.end();
  }
}

const schema = (fields, indexes) => `import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({ items: defineTable({ body: v.string(), n: v.number(), ${fields} }).index("by_n", ["n"])${indexes} });
`;

const STEPS = {
  "a field and an index on it": ["tag: v.optional(v.string()),", '.index("by_tag", ["tag"])'],
  "a wider type": ["tag: v.optional(v.union(v.string(), v.number())),", '.index("by_tag", ["tag"])'],
  "a narrower type": ["tag: v.optional(v.number()),", '.index("by_tag", ["tag"])'],
  "field and index removed": ["", ""],
};

export async function measure({ say }) {
  const server = await Server.start({ source: APP });
  const loops = { writer: new Loop(), reader: new Loop() };
  try {
    say(`deploys: inserting ${ROWS} rows`);
    const db = server.sql({ max: 1 });
    await db.query("INSERT INTO items (body, n) SELECT 'row ' || i, i FROM generate_series(1, $1::int) AS i", [ROWS]);
    await db.query("VACUUM ANALYZE items");
    await db.query("CREATE INDEX items_n ON items (n)");
    const staging = join(server.root, "staging");
    await copyApp(APP, staging);
    await Promise.all(Object.entries(loops).map(([name, loop]) => loop.start(server.env.DATABASE_URL, LOOPS[name])));
    const rows = [];
    const during = async (name, work) => {
      say(`deploys: ${name}`);
      Object.values(loops).forEach((loop) => loop.take());
      const started = performance.now();
      await work();
      const seconds = (performance.now() - started) / 1000;
      const taken = Object.values(loops).map((loop) => loop.take());
      rows.push([name, figure(seconds), ...taken.flatMap(({ longest, count }) => [figure(longest), String(count)])]);
    };
    await during("no deploy", () => new Promise((resolve) => setTimeout(resolve, QUIET_MS)));
    for (const [name, [fields, indexes]] of Object.entries(STEPS)) {
      await writeFile(join(staging, "convex/schema.ts"), schema(fields, indexes));
      await during(name, async () => {
        const { code, stdout, stderr } = await server.deploy(staging);
        if (code !== 0) {
          throw new Error(`${stdout}\n${stderr}`);
        }
      });
    }
    return {
      tables: [{
        title: `Longest wait of a statement while a table of ${ROWS.toLocaleString("en")} rows is deployed to`,
        columns: ["what", "s", "writer, longest ms", "statements", "reader, longest ms", "statements"],
        rows,
        note: "One INSERT and one SELECT after the other, each on a connection of its own.",
      }],
    };
  } finally {
    await Promise.all(Object.values(loops).map((loop) => loop.client && loop.stop().catch(() => {})));
    await server.stop();
  }
}
