// What Postgres itself locks for a query that runs SERIALIZABLE, row by row and index page by index page, and whether a
// write to it wakes the live query. Rows that the result does not show count as well: those of a join without a partner, those
// that an aggregate passes over, those that came after EXISTS was decided.
import { random } from "../lib/random.mjs";
import { Oracle } from "./oracle.mjs";
import { Dice } from "./schema.mjs";

const TABLES = ["left_side", "right_side"];
const ROWS = 600;
/** Of the rows and of the pages that a query has locked so many are written to. */
const EACH = 3;
/** New rows that are tried until one comes to lie on a locked page and in the condition. */
const TRIES = 6;
/** As few pages per index and locks per page as there can be make locks fine; plans that lock whole tables are avoided. */
export const FINE_LOCKS = { max_pred_locks_per_transaction: 1000, max_pred_locks_per_relation: 20000, max_pred_locks_per_page: 1000 };
const BY_INDEX = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off";

const word = (dice) => `${dice.pick(["a", "b", "c", "d"])}${dice.pick(["a", "e", "i", "o", "u"])}${dice.pick(["n", "r", "t"])}`;
const literal = (value) => (value === null ? "NULL" : typeof value === "string" ? `'${value}'` : String(value));
const ROW = {
  grp: (dice) => dice.int(40),
  ref: (dice) => (dice.chance(0.05) ? null : dice.int(ROWS)),
  n: (dice) => dice.int(1_000),
  name: (dice) => (dice.chance(0.05) ? null : word(dice)),
  done: (dice) => dice.chance(0.5),
};
const values = (dice, id) => `(${[id, ...Object.values(ROW).map((make) => literal(make(dice)))].join(", ")})`;

function makeSchema(dice) {
  const statements = ["CREATE EXTENSION IF NOT EXISTS pageinspect", "CREATE SCHEMA o", "SET search_path = o, public"];
  for (const table of TABLES) {
    const rows = Array.from({ length: ROWS }, (_, id) => values(dice, id));
    statements.push(
      `CREATE TABLE ${table} (id int PRIMARY KEY WITH (fillfactor = 10), grp int NOT NULL, ref int, n int NOT NULL, name text COLLATE "C", done boolean NOT NULL)`,
      `INSERT INTO ${table} VALUES ${rows.join(", ")}`,
      ...["grp, n", "ref", "n", "name"].map((columns) => `CREATE INDEX ON ${table} (${columns}) WITH (fillfactor = 10)`),
      `ANALYZE ${table}`,
    );
  }
  return { statements, tables: TABLES };
}

const QUERIES = [
  (dice, x) => `SELECT x.id, x.name FROM ${x} AS x WHERE x.id = ${dice.int(ROWS)}`,
  (dice, x) => `SELECT x.id FROM ${x} AS x WHERE x.grp = ${ROW.grp(dice)}`,
  (dice, x) => `SELECT x.n FROM ${x} AS x WHERE x.grp IN (${ROW.grp(dice)}, ${ROW.grp(dice)})`,
  (dice, x) => `SELECT x.id, x.done FROM ${x} AS x WHERE x.n BETWEEN ${dice.int(900)} AND ${100 + dice.int(900)}`,
  (dice, x) => `SELECT max(x.id) FROM ${x} AS x WHERE x.n < ${20 + dice.int(100)}`,
  (dice, x) => `SELECT x.id FROM ${x} AS x WHERE x.name LIKE '${word(dice).slice(0, 2)}%'`,
  (dice, x) => `SELECT x.id, x.n FROM ${x} AS x WHERE x.${dice.pick(["ref", "name"])} IS NULL`,
  (dice, x) => `SELECT count(*) FROM ${x} AS x WHERE x.grp = ${ROW.grp(dice)} AND x.n > ${dice.int(500)}`,
  (dice, x) => `SELECT x.id FROM ${x} AS x WHERE x.n > ${dice.int(900)} AND x.done`,
  (dice, x) => `SELECT x.id FROM ${x} AS x WHERE x.n = ${ROW.n(dice)} OR x.ref = ${dice.int(ROWS)}`,
  (dice, x) => `SELECT x.id, x.n FROM ${x} AS x WHERE x.n >= ${dice.int(900)} ORDER BY x.n LIMIT 5`,
  (dice, x, y) => `SELECT x.id, y.name FROM ${x} AS x JOIN ${y} AS y ON y.id = x.ref WHERE x.grp = ${ROW.grp(dice)}`,
  (dice, x, y) => `SELECT x.id, y.n FROM ${x} AS x LEFT JOIN ${y} AS y ON y.ref = x.id AND y.done WHERE x.n < ${10 + dice.int(30)}`,
  (dice, x, y) => `SELECT x.id FROM ${x} AS x WHERE x.grp = ${ROW.grp(dice)} AND EXISTS (SELECT FROM ${y} AS y WHERE y.ref = x.id)`,
  (dice, x, y) => `SELECT x.id FROM ${x} AS x LEFT JOIN ${y} AS y ON y.id = x.ref WHERE x.n < ${10 + dice.int(30)} AND y.id IS NULL`,
];

const makeQueries = (dice, _, count) =>
  Array.from({ length: count }, (_, index) => {
    const [x, y] = dice.chance(0.5) ? TABLES : TABLES.toReversed();
    return { of: `query ${index}`, sql: QUERIES[index % QUERIES.length](dice, x, y), role: null };
  });

/** The scans of tables in a plan: which table, under which name, and with which conditions. */
function scansOf(plan) {
  const own = plan["Relation Name"] === undefined
    ? []
    : [{ table: plan["Relation Name"], alias: plan.Alias, conditions: ["Index Cond", "Recheck Cond", "Filter"].map((kind) => plan[kind]).filter(Boolean) }];
  return [...own, ...(plan.Plans ?? []).flatMap(scansOf)];
}

export class LockCheck {
  rows = 0;
  keys = 0;

  constructor(seed, queries) {
    this.dice = new Dice(random(seed + 1));
    const mix = { makeSchema, makeQueries, makeTransaction: () => ({ statements: [], commits: true }) };
    this.oracle = new Oracle(seed, { queries, before: 0, sample: { any: 0, kept: 0, stale: true }, mix });
    this.nextId = ROWS;
  }

  async begin(writer, reader, locker) {
    this.writer = writer;
    this.locker = locker;
    await reader.query(BY_INDEX);
    await locker.query(`SET search_path = o, public; ${BY_INDEX}`);
    await this.oracle.begin(writer, reader);
  }

  /** What of a query's locks does not wake it. `locking`: the statement that takes the locks, if it is another one. */
  async missing(query, locking = query.sql) {
    const { locker } = this;
    await locker.query("BEGIN ISOLATION LEVEL SERIALIZABLE");
    try {
      await locker.query(`SELECT count(*) FROM (${locking}) AS q`);
      const { rows: [{ "QUERY PLAN": [{ Plan: plan }] }] } = await locker.query(`EXPLAIN (FORMAT JSON, VERBOSE) ${locking}`);
      const missing = [];
      const scans = scansOf(plan);
      for (const each of scans) {
        const scan = { ...each, others: scans.filter((other) => other !== each) };
        missing.push(...(await this.#missingRows(query, scan)), ...(await this.#missingKeys(query, scan)));
      }
      return missing;
    } finally {
      await locker.query("ROLLBACK");
    }
  }

  /** What Postgres has locked of a table and of its indexes; without a page: all of it. */
  async #locks({ table }) {
    const { rows } = await this.locker.query(
      `SELECT l.relation::regclass::text AS of, i.indexrelid IS NOT NULL AS is_index, l.page, l.tuple
       FROM pg_locks AS l LEFT JOIN pg_index AS i ON i.indexrelid = l.relation
       WHERE l.mode = 'SIReadLock' AND l.pid = pg_backend_pid() AND coalesce(i.indrelid, l.relation) = $1::regclass`,
      [table],
    );
    return rows;
  }

  /** Rows that were locked and fulfil the scan's conditions: each is deleted and comes back. */
  async #missingRows(query, scan) {
    const locks = (await this.#locks(scan)).filter(({ is_index }) => !is_index);
    const { rows: all } = await this.writer.query(`SELECT ctid::text AS place FROM ${scan.table}`);
    const rows = all.filter(({ place }) => locks.some(({ page, tuple }) => page === null || place === `(${page},${tuple})` || (tuple === null && place.startsWith(`(${page},`))));
    const missing = [];
    for (let count = 0; count < EACH && rows.length > 0; count += 1) {
      const [{ place }] = rows.splice(this.dice.int(rows.length), 1);
      await this.writer.query("BEGIN");
      const concerned = await this.#fulfils(scan, place);
      await this.writer.query("ROLLBACK");
      if (!concerned) {
        continue;
      }
      this.rows += 1;
      const { rows: [gone] } = await this.writer.query(`DELETE FROM ${scan.table} AS x WHERE ctid = $1::tid RETURNING row_to_json(x) AS row`, [place]);
      if (!(await this.#woken(query))) {
        missing.push(`row ${JSON.stringify(gone.row)} of ${scan.table}`);
      }
      await this.writer.query(`INSERT INTO ${scan.table} SELECT * FROM json_populate_record(NULL::${scan.table}, $1)`, [gone.row]);
      await this.oracle.step(false);
    }
    return missing;
  }

  /** New rows that fulfil the scan's conditions and whose entry in an index comes to lie on a page that was locked. */
  async #missingKeys(query, scan) {
    const missing = [];
    for (let count = 0; count < TRIES; count += 1) {
      const id = (this.nextId += 1);
      const row = await this.#like(scan, id);
      await this.writer.query("BEGIN");
      const { rows: [{ place }] } = await this.writer.query(`INSERT INTO ${scan.table} VALUES ${row} RETURNING ctid::text AS place`);
      const concerned = (await this.#fulfils(scan, place)) && (await this.#isOnLockedPage(scan, place));
      await this.writer.query(concerned ? "COMMIT" : "ROLLBACK");
      if (!concerned) {
        continue;
      }
      this.keys += 1;
      if (!(await this.#woken(query))) {
        missing.push(`new row ${id} of ${scan.table}`);
      }
    }
    return missing;
  }

  /** A row as one of those that the scan finds, but for some of its columns. */
  async #like(scan, id) {
    const columns = Object.keys(ROW);
    const { rows } = await this.writer.query(
      `SELECT ${columns} FROM ${scan.table} AS ${scan.alias} WHERE ${scan.conditions.join(" AND ")} ORDER BY md5(id::text || $1) LIMIT 1`, [id],
    ).catch(() => ({ rows: [] }));
    return `(${[id, ...columns.map((name) => literal(rows.length > 0 && this.dice.chance(0.7) ? rows[0][name] : ROW[name](this.dice)))].join(", ")})`;
  }

  async #isOnLockedPage(scan, place) {
    for (const { of, page } of (await this.#locks(scan)).filter(({ is_index, page }) => is_index && page !== null)) {
      // Equal keys are one item with a list of places.
      const { rows } = await this.writer.query("SELECT FROM public.bt_page_items($1, $2) WHERE ctid = $3::tid OR $3::tid = ANY (tids)", [of, page, place]);
      if (rows.length > 0) {
        return true;
      }
    }
    return false;
  }

  /** Whether a row fulfils the conditions of the scan as EXPLAIN shows them. One that looks at other tables, too, has to hold for rows that their scans find; what cannot be asked like that counts as fulfilled. */
  async #fulfils({ table, alias, conditions, others }, place) {
    const joined = others.map((other) => `, ${other.table} AS ${other.alias}`).join("");
    const found = others.flatMap((other) => other.conditions.map((condition) => ` AND (${condition})`)).join("");
    for (const condition of conditions) {
      const ask = async (from, and) => {
        await this.writer.query("SAVEPOINT f");
        const answer = await this.writer
          .query(`SELECT FROM ${table} AS ${alias}${from} WHERE ${alias}.ctid = $1::tid AND (${condition})${and} LIMIT 1`, [place])
          .then(({ rows }) => rows.length > 0, () => null);
        await this.writer.query("ROLLBACK TO f");
        return answer;
      };
      const fulfilled = (await ask("", "")) ?? (await ask(joined, found)) ?? true;
      if (!fulfilled) {
        return false;
      }
    }
    return true;
  }

  async #woken(query) {
    const before = query.runs;
    await this.oracle.step(false);
    return query.runs > before;
  }
}
