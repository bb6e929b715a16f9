// Runs a write schedule beside live queries: whatever was not invalidated must equal a fresh run.
import { random } from "../lib/random.mjs";
import { until } from "../lib/wait.mjs";
import { makeQueries } from "./queries.mjs";
import { Dice, makeSchema } from "./schema.mjs";
import { makeTransaction } from "./writes.mjs";

const OWNER = 1;
const digest = (sql) => `(SELECT md5(coalesce(string_agg(t, '|' ORDER BY t), '')) FROM (SELECT q::text AS t FROM (${sql}) AS q) AS s)`;

/** A result that stands for an error: which one is not compared. */
const FAILED = "error";

export class Oracle {
  comparisons = 0;
  reruns = {};
  needless = {};

  constructor(seed, { queries = 60, folder }) {
    this.dice = new Dice(random(seed));
    this.folder = folder;
    this.schema = makeSchema(this.dice);
    this.queries = makeQueries(this.dice, this.schema, queries).map((query, sub) => ({ ...query, sub: sub + 1, generation: 0 }));
    this.after = 0;
  }

  /** Makes the schema, with some rows, and registers all queries. `extra`: queries beside the generated ones. */
  async begin(writer, reader, extra = [], rows = []) {
    this.writer = writer;
    this.reader = reader;
    for (const { sql, role } of extra) {
      this.queries.push({ of: "extra", sql, role, sub: this.queries.length + 1, generation: 0 });
    }
    await writer.query("SELECT live.prepare_connection()");
    for (const statement of this.schema.statements) {
      await writer.query(statement);
    }
    for (let count = 0; count < 60; count += 1) {
      await this.write();
    }
    for (const statement of rows) {
      await writer.query(statement);
    }
    await reader.query("SET search_path = o, public");
    await reader.query("SELECT set_config('request.who', '3', false)");
    await reader.query("SELECT live.prepare_connection()");
    this.boot = await until("the worker is up", async () => {
      const { rows } = await reader.query("SELECT live.attach($1) AS boot", [OWNER]);
      return Number(rows[0].boot);
    }, { timeout: 60_000 });
    this.queries.forEach((query) => (query.stale = true));
    await this.step();
  }

  /** One transaction of the schedule. */
  async write() {
    const { statements, commits } = makeTransaction(this.dice, this.schema, this.folder);
    this.last = statements;
    await this.writer.query("BEGIN");
    for (const statement of statements) {
      await this.writer.query("SAVEPOINT s");
      // A list is undone whatever comes of it, a statement if it fails.
      let undone = Array.isArray(statement);
      for (const each of [statement].flat()) {
        await this.writer.query(each).catch(() => (undone = true));
      }
      await this.writer.query(undone ? "ROLLBACK TO s" : "RELEASE s");
    }
    await this.writer.query(commits ? "COMMIT" : "ROLLBACK");
  }

  /** Compares what was not invalidated, and runs the rest again; throws at the first divergence. */
  async step() {
    await until("a round at one snapshot", () => this.#round(), { timeout: 60_000 });
  }

  async #round() {
    const { reader } = this;
    await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    try {
      const { rows: [mark] } = await reader.query("SELECT * FROM live.watermark($1, 1000)", [OWNER]);
      if (!mark.clear || Number(mark.boot) !== this.boot) {
        await reader.query("ROLLBACK");
        return false;
      }
      await this.#fetch();
      const fresh = await this.#results(this.queries);
      this.#compare(fresh);
      for (const query of this.queries.filter(({ stale }) => stale)) {
        query.stale = !(await this.#register(query, fresh.get(query)));
      }
      await reader.query("COMMIT");
    } catch (error) {
      await reader.query("ROLLBACK");
      if (error instanceof Divergence) {
        this.divergence = error;
        return true;
      }
      // Definitions changed meanwhile (40001).
      return false;
    }
    return this.queries.every(({ stale }) => !stale);
  }

  async #fetch() {
    const { rows } = await this.reader.query("SELECT n, sub, generation FROM live.next($1, $2, $3)", [OWNER, this.boot, this.after]);
    for (const { n, sub, generation } of rows) {
      this.after = Math.max(this.after, Number(n));
      const query = this.queries[Number(sub) - 1];
      if (Number(generation) === query.generation) {
        query.stale = true;
        query.invalidated = true;
      }
    }
  }

  /** What each query gives at the snapshot, as a digest. */
  async #results(queries) {
    const results = new Map();
    for (const role of [null, "oracle_reader"]) {
      await this.reader.query(role === null ? "RESET ROLE" : `SET LOCAL ROLE ${role}`);
      const of = queries.filter((query) => query.role === role);
      const list = of.map(({ sql }) => digest(sql)).join(", ");
      await this.reader.query("SAVEPOINT r");
      try {
        const { rows } = await this.reader.query({ text: `SELECT ARRAY[${list}] AS r`, name: `all ${role}` });
        of.forEach((query, index) => results.set(query, rows[0].r[index]));
      } catch {
        await this.reader.query("ROLLBACK TO r");
        for (const query of of) {
          const rows = await this.reader.query(`SELECT ${digest(query.sql)} AS r`).then(({ rows }) => rows, () => null);
          results.set(query, rows?.[0].r ?? FAILED);
          await this.reader.query("ROLLBACK TO r");
        }
      }
    }
    await this.reader.query("RESET ROLE");
    return results;
  }

  #compare(fresh) {
    for (const query of this.queries) {
      const now = fresh.get(query);
      if (query.stale) {
        if (query.invalidated) {
          this.reruns[query.of] = (this.reruns[query.of] ?? 0) + 1;
          this.needless[query.of] = (this.needless[query.of] ?? 0) + Number(now === query.result);
          query.invalidated = false;
        }
        continue;
      }
      this.comparisons += 1;
      if (now !== query.result) {
        throw new Divergence(query, this.last);
      }
    }
  }

  async #register(query, result) {
    const { reader } = this;
    query.generation += 1;
    await reader.query(query.role === null ? "RESET ROLE" : `SET LOCAL ROLE ${query.role}`);
    const { rows: [row] } = await reader.query("SELECT registered, not_live FROM live.watch_query($1::bigint, $2::bigint, $3::bigint, $4::text)", [
      OWNER, query.sub, query.generation, query.sql,
    ]);
    await reader.query("RESET ROLE");
    query.result = result;
    if (row.not_live !== null && !row.not_live.includes("try again")) {
      throw new Error(`not live: ${row.not_live}: ${query.sql}`);
    }
    return row.registered;
  }
}

/** A result went stale, and nobody was told. */
export class Divergence extends Error {
  constructor(query, writes) {
    super(`a ${query.of} query was not invalidated, and its result has changed:\n${query.sql}\nafter\n${writes.flat().join(";\n")}`);
  }
}
