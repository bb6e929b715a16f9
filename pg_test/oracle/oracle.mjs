// Runs a write schedule beside live queries: whatever was not invalidated must equal a fresh run.
import { random } from "../lib/random.mjs";
import { until } from "../lib/wait.mjs";
import { makeQueries } from "./queries.mjs";
import { Dice, makeSchema } from "./schema.mjs";
import { makeTransaction } from "./writes.mjs";

const OWNER = 4711;
/** Queries and writes of all kinds. */
const ALL_KINDS = { makeSchema, makeQueries, makeTransaction };
/** A result that stands for an error: which one is not compared. */
const FAILED = "error";
/** The text of a function that gives a query's result as a digest: its plan is kept, which a query's own text would not be. */
const digest = ({ sub, sql }) => `CREATE FUNCTION pg_temp.digest_${sub}() RETURNS text LANGUAGE plpgsql STABLE AS $digest$ BEGIN
  RETURN (SELECT md5(coalesce(string_agg(t, '|' ORDER BY t), '')) FROM (SELECT q::text AS t FROM (${sql}) AS q) AS s);
  EXCEPTION WHEN OTHERS THEN RETURN '${FAILED}'; END $digest$`;
const digests = (queries) => `SELECT ARRAY[${queries.map(({ sub }) => `pg_temp.digest_${sub}()`).join(", ")}]::text[] AS r`;
const setRole = (role) => (role === null ? "RESET ROLE" : `SET LOCAL ROLE ${role}`);
/** What plans may not have, each with what those before it may not. */
const WITHOUT = { nothing: [], "whole scans": ["hashjoin", "mergejoin", "seqscan"], bitmaps: ["bitmapscan"] };
const ROLES = [null, "oracle_reader"];

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
      // A list is undone whatever comes of it, a statement if it fails.
      const end = Array.isArray(statement) ? "ROLLBACK TO s" : "RELEASE s";
      await this.writer.query(["SAVEPOINT s", statement, end].flat().join(";\n")).catch(() => this.writer.query("ROLLBACK TO s"));
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
    try {
      const [, { rows: [mark] }, { rows: news }] = await reader.query(
        `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT * FROM live.watermark(${OWNER}, 1000);
         SELECT n, sub, generation FROM live.next(${OWNER}, ${this.boot}, ${this.after})`,
      );
      this.#take(news);
      if (!mark.clear || Number(mark.boot) !== this.boot) {
        await reader.query("ROLLBACK");
        return false;
      }
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

  /** What is told to be stale, is. */
  #take(news) {
    for (const { n, sub, generation } of news) {
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
    const parts = ROLES.map((role) => ({ role, of: queries.filter((query) => query.role === role) })).filter(({ of }) => of.length > 0);
    const answers = await this.reader.query([...parts.flatMap(({ role, of }) => [setRole(role), digests(of)]), "RESET ROLE"].join("; "));
    // Each part is two statements, of which the second has the results.
    return new Map(parts.flatMap(({ of }, part) => of.map((query, index) => [query, answers[2 * part + 1].rows[0].r[index]])));
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

  /** Registers queries with their results, all in one message; what could not be registered stays stale. */
  async #register(queries, fresh) {
    const groups = Object.entries(WITHOUT).flatMap(([without, kinds]) => ROLES.map((role) => ({ without, kinds, role })));
    const answered = [];
    for (const { without, kinds, role } of groups) {
      const of = queries.filter((query) => query.role === role && (query.without ?? "nothing") === without);
      of.forEach((query) => (query.generation += 1));
      // Settings last until the transaction ends.
      const settings = role === null ? kinds.map((kind) => `SET LOCAL enable_${kind} = off`) : [];
      const registering = of.length > 0 ? [setRole(role), this.#registering(of)] : [];
      answered.push({ of, statements: [...settings, ...registering] });
    }
    if (queries.length === 0) {
      return;
    }
    const answers = await this.reader.query([...answered.flatMap(({ statements }) => statements), "RESET ROLE"].join("; "));
    for (const { of, statements } of answered) {
      const rows = answers.splice(0, statements.length).at(-1)?.rows;
      of.forEach((query, index) => this.#registered(query, fresh.get(query), rows[index]));
    }
  }

  #registering(queries) {
    const values = queries.map(({ sub, generation, sql }, place) => `(${place}, ${sub}, ${generation}, ${this.reader.escapeLiteral(sql)})`);
    return `SELECT w.registered, w.not_live FROM (VALUES ${values.join(", ")}) AS q (place, sub, generation, query),
      LATERAL live.watch_query(${OWNER}, q.sub, q.generation, q.query) AS w ORDER BY q.place`;
  }

  #registered(query, result, { registered, not_live: reason }) {
    query.result = result;
    query.stale = !registered;
    if (reason !== null && !reason.includes("try again")) {
      throw new Error(`not live: ${reason}: ${query.sql}`);
    }
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
