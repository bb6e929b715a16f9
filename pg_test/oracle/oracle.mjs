// Runs a write schedule beside live queries: whatever was not invalidated must equal a fresh run.
import { random } from "../lib/random.mjs";
import { until } from "../lib/wait.mjs";
import { makeQueries } from "./queries.mjs";
import { Dice, makeSchema } from "./schema.mjs";
import { makeTransaction } from "./writes.mjs";

const OWNER = 4711;
/** Queries and writes of all kinds. */
const ALL_KINDS = { makeSchema, makeQueries, makeTransaction };
/** The text of a function that gives a query's result as a digest: its plan is kept, which a query's own text would not be. */
const digest = ({ sub, sql }) => `CREATE FUNCTION pg_temp.digest_${sub}() RETURNS text LANGUAGE plpgsql STABLE AS $digest$ BEGIN
  RETURN (SELECT md5(coalesce(string_agg(t, '|' ORDER BY t), '')) FROM (SELECT q::text AS t FROM (${sql}) AS q) AS s); END $digest$`;
const call = ({ sub }) => `pg_temp.digest_${sub}()`;

/** A result that stands for an error: which one is not compared. */
const FAILED = "error";

export class Oracle {
  comparisons = 0;
  last = [];
  reruns = {};
  needless = {};

  /**
   * `before`: so many transactions make the first rows. `sample`: of the queries so many (`any`) are looked at after a
   * commit, so many of those that were not invalidated (`kept`), and all that were (`stale`); without it all.
   */
  constructor(seed, { queries = 60, folder, sample = null, before = 60, mix = ALL_KINDS }) {
    this.sample = sample;
    this.before = before;
    this.dice = new Dice(random(seed));
    this.folder = folder;
    this.mix = mix;
    this.schema = mix.makeSchema(this.dice);
    this.queries = mix.makeQueries(this.dice, this.schema, queries).map((query, sub) => ({ ...query, sub: sub + 1, generation: 0, runs: 0 }));
    this.after = 0;
  }

  /** Makes the schema, with some rows, and registers all queries. `extra`: queries beside the generated ones. */
  async begin(writer, reader, extra = [], rows = []) {
    this.writer = writer;
    this.reader = reader;
    for (const { sql, role } of extra) {
      this.queries.push({ of: "extra", sql, role, sub: this.queries.length + 1, generation: 0, runs: 0 });
    }
    await writer.query("SELECT live.prepare_connection()");
    for (const statement of this.schema.statements) {
      await writer.query(statement);
    }
    for (let count = 0; count < this.before; count += 1) {
      await this.write();
    }
    for (const statement of rows) {
      await writer.query(statement);
    }
    await reader.query("SET search_path = o, public");
    await reader.query("SELECT set_config('request.who', '3', false)");
    await reader.query("SELECT live.prepare_connection()");
    for (const query of this.queries) {
      await reader.query(digest(query));
    }
    this.boot = await until("the worker is up", async () => {
      const { rows } = await reader.query("SELECT live.attach($1) AS boot", [OWNER]);
      return Number(rows[0].boot);
    }, { timeout: 60_000 });
    this.queries.forEach((query) => (query.stale = true));
    await this.step();
  }

  /** One transaction of the schedule. */
  async write() {
    const { statements, commits } = this.mix.makeTransaction(this.dice, this.schema, this.folder);
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

  /** Compares what was not invalidated, and runs the rest again; stops at the first divergence. */
  async step(all = true) {
    const chosen = all || this.sample === null ? null : this.#choose();
    await until("a round at one snapshot", async () => (await this.#round(chosen)) || this.failure, { timeout: 600_000, every: 1 });
    if (this.failure) {
      throw this.failure;
    }
  }

  /** Which are looked at: some, and some of those that are believed to hold; they are drawn before the news is known. */
  #choose() {
    const chosen = new Set();
    while (chosen.size < Math.min(this.sample.any, this.queries.length)) {
      chosen.add(this.dice.pick(this.queries));
    }
    this.wanted = this.sample.kept;
    return chosen;
  }

  async #round(chosen) {
    const { reader } = this;
    await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    try {
      const { rows: [mark] } = await reader.query("SELECT * FROM live.watermark($1, 1000)", [OWNER]);
      if (!mark.clear || Number(mark.boot) !== this.boot) {
        await reader.query("ROLLBACK");
        return false;
      }
      await this.#fetch();
      const looked = chosen === null ? this.queries : [...this.#withKept(chosen)];
      const fresh = await this.#results(looked);
      this.#compare(looked, fresh);
      await this.#register(looked.filter(({ stale }) => stale), fresh);
      await reader.query("COMMIT");
      return looked.every(({ stale }) => !stale);
    } catch (error) {
      await reader.query("ROLLBACK");
      if (error instanceof Divergence) {
        this.divergence = error;
        return true;
      }
      // Definitions changed meanwhile.
      if (error.code !== "40001") {
        this.failure ??= error;
      }
      return false;
    }
  }

  /** Adds some of those that were not invalidated, and those that were if they are wanted. */
  #withKept(chosen) {
    if (this.sample.stale) {
      this.queries.filter(({ stale }) => stale).forEach((query) => chosen.add(query));
    }
    const kept = this.queries.filter((query) => !query.stale && !chosen.has(query));
    for (let count = 0; count < this.wanted && kept.length > 0; count += 1) {
      chosen.add(kept.splice(this.dice.int(kept.length), 1)[0]);
    }
    this.wanted = 0;
    return chosen;
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
      const of = queries.filter((query) => query.role === role);
      if (of.length === 0) {
        continue;
      }
      await this.reader.query(role === null ? "RESET ROLE" : `SET LOCAL ROLE ${role}`);
      await this.reader.query("SAVEPOINT r");
      // One that fails would make all others fail: what failed before is asked alone.
      const together = of.filter(({ result }) => result !== FAILED);
      const alone = new Set(of.filter(({ result }) => result === FAILED));
      try {
        const { rows } = await this.reader.query(`SELECT ARRAY[${together.map(call).join(", ")}]::text[] AS r`);
        together.forEach((query, index) => results.set(query, rows[0].r[index]));
      } catch {
        await this.reader.query("ROLLBACK TO r");
        together.forEach((query) => alone.add(query));
      }
      for (const query of alone) {
        const rows = await this.reader.query(`SELECT ${call(query)} AS r`).then(({ rows }) => rows, () => null);
        results.set(query, rows?.[0].r ?? FAILED);
        await this.reader.query("ROLLBACK TO r");
      }
    }
    await this.reader.query("RESET ROLE");
    return results;
  }

  #compare(looked, fresh) {
    const diverged = [];
    for (const query of looked) {
      const now = fresh.get(query);
      if (query.stale) {
        if (query.invalidated) {
          query.runs += 1;
          this.reruns[query.of] = (this.reruns[query.of] ?? 0) + 1;
          this.needless[query.of] = (this.needless[query.of] ?? 0) + Number(now === query.result);
          query.invalidated = false;
        }
        continue;
      }
      this.comparisons += 1;
      if (now !== query.result) {
        diverged.push(query);
      }
    }
    if (diverged.length > 0) {
      throw new Divergence(diverged, this.last);
    }
  }

  /** Everything counts as stale, and what was found is forgotten. */
  async again() {
    this.divergence = undefined;
    this.queries.forEach((query) => (query.stale = true));
    await this.step();
  }

  /** Relations that Postgres locked for a query run SERIALIZABLE and that its read-set does not have. */
  async notCovered(query) {
    const { reader } = this;
    const name = `q${query.sub}`;
    await this.writer.query(`CREATE OR REPLACE FUNCTION api.${name}() RETURNS SETOF text LANGUAGE sql STABLE SET search_path = o, public
      AS $q$ SELECT q::text FROM (${query.sql}) AS q $q$`);
    await reader.query("BEGIN ISOLATION LEVEL SERIALIZABLE");
    try {
      await reader.query(query.role === null ? "RESET ROLE" : `SET LOCAL ROLE ${query.role}`);
      const failed = await reader.query(`SELECT * FROM (${query.sql}) AS q`).then(() => false, () => true);
      if (failed) {
        return { locked: 0, missing: [] };
      }
      const { rows: locks } = await reader.query(
        `SELECT DISTINCT coalesce(i.indrelid, l.relation)::regclass::oid AS rel FROM pg_locks AS l
         LEFT JOIN pg_index AS i ON i.indexrelid = l.relation WHERE l.mode = 'SIReadLock' AND l.pid = pg_backend_pid()`,
      );
      await reader.query("SET LOCAL search_path = ''");
      const { rows: read } = await reader.query("SELECT DISTINCT to_regclass(e.name)::oid AS rel FROM (SELECT * FROM live.explain($1)) AS e (kind, name)", [
        `sql/api:${name}`,
      ]);
      const known = new Set(read.map(({ rel }) => rel));
      return { locked: locks.length, missing: locks.map(({ rel }) => rel).filter((rel) => !known.has(rel)) };
    } finally {
      await reader.query("ROLLBACK");
    }
  }

  /** Registers queries with their results, many in one statement; what could not be registered stays stale. */
  async #register(queries, fresh) {
    const groups = [false, true].flatMap((looksUp) => [null, "oracle_reader"].map((role) => ({ looksUp, role })));
    for (const { looksUp, role } of groups) {
      const of = queries.filter((query) => query.role === role && (query.looksUp ?? false) === looksUp);
      if (of.length === 0) {
        continue;
      }
      of.forEach((query) => (query.generation += 1));
      if (looksUp) {
        await this.reader.query("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off");
      }
      await this.reader.query(role === null ? "RESET ROLE" : `SET LOCAL ROLE ${role}`);
      const { rows } = await this.reader.query(
        `SELECT w.registered, w.not_live FROM unnest($2::bigint[], $3::bigint[], $4::text[]) WITH ORDINALITY AS q (sub, generation, query, place),
           LATERAL live.watch_query($1::bigint, q.sub, q.generation, q.query) AS w ORDER BY q.place`,
        [OWNER, ...["sub", "generation", "sql"].map((name) => of.map((query) => query[name]))],
      );
      for (const [index, { registered, not_live: reason }] of rows.entries()) {
        const query = of[index];
        query.result = fresh.get(query);
        query.stale = !registered;
        if (reason !== null && !reason.includes("try again")) {
          throw new Error(`not live: ${reason}: ${query.sql}`);
        }
      }
    }
    await this.reader.query("RESET ROLE");
  }
}

/** A result went stale, and nobody was told. */
export class Divergence extends Error {
  constructor(queries, writes) {
    const [query] = queries;
    super(`a ${query.of} query was not invalidated, and its result has changed:\n${query.sql}\nafter\n${writes.flat().join(";\n")}`);
    this.queries = queries;
  }
}
