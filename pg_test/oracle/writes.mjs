// Generated transactions that write: all kinds of statements, rolled back in part and as a whole.
import { condition } from "./queries.mjs";
import { literal } from "./schema.mjs";

const REFERENCE = (dice) => (dice.chance(0.2) ? "NULL" : `(SELECT id FROM t0 WHERE id >= ${dice.int(40)} ORDER BY id LIMIT 1)`);
const value = (dice, column) => (column.references ? REFERENCE(dice) : literal(dice, column.type));
const written = (table) => table.columns.filter(({ generated }) => !generated);
const id = (dice, { range: [from, to] = [0, 40] }) => from + dice.int(to - from);

function row(dice, table) {
  return `(${[id(dice, table), ...written(table).map((column) => value(dice, column))].join(", ")})`;
}

const names = (table) => ["id", ...written(table).map((column) => column.name)].join(", ");
const rows = (dice, table) => Array.from({ length: 1 + dice.int(4) }, () => row(dice, table)).join(", ");

const STATEMENTS = {
  insert: (dice, t) => `INSERT INTO ${t.name} (${names(t)}) VALUES ${row(dice, t)} ON CONFLICT DO NOTHING`,
  fill: (dice, t) => `INSERT INTO ${t.name} (${names(t)}) VALUES ${rows(dice, t)} ON CONFLICT DO NOTHING`,
  upsert: (dice, t) => {
    const column = dice.pick(written(t));
    return `INSERT INTO ${t.name} (${names(t)}) VALUES ${row(dice, t)} ON CONFLICT (id) DO UPDATE SET ${column.name} = excluded.${column.name}`;
  },
  update: (dice, t) => {
    const column = dice.pick(written(t));
    return `UPDATE ${t.name} AS x SET ${column.name} = ${value(dice, column)} WHERE x.id = ${id(dice, t)}`;
  },
  updateSome: (dice, t) => {
    const column = dice.pick(written(t));
    return `UPDATE ${t.name} AS x SET ${column.name} = ${value(dice, column)} WHERE ${condition(dice, t, "x")}`;
  },
  updateNothing: (dice, t) => `UPDATE ${t.name} AS x SET a = a WHERE ${condition(dice, t, "x")}`,
  updateKey: (dice, t) => `UPDATE ${t.name} SET id = ${id(dice, t)} WHERE id = ${id(dice, t)}`,
  delete: (dice, t) => `DELETE FROM ${t.name} WHERE id = ${id(dice, t)}`,
  deleteSome: (dice, t) => `DELETE FROM ${t.name} AS x WHERE ${condition(dice, t, "x")} AND x.id % 3 = 0`,
  merge: (dice, t) =>
    `MERGE INTO ${t.name} AS x USING (VALUES (${id(dice, t)}), (${id(dice, t)})) AS s(k) ON x.id = s.k
       WHEN MATCHED AND x.a > 5 THEN DELETE WHEN MATCHED THEN UPDATE SET a = ${dice.int(12)}
       WHEN NOT MATCHED AND s.k % 2 = 0 THEN INSERT (id, a, b) VALUES (s.k, ${dice.int(12)}, ${dice.int(12)})`,
  cte: (dice, t) => `WITH gone AS (DELETE FROM ${t.name} WHERE id = ${id(dice, t)} RETURNING id) INSERT INTO log SELECT id + 100, 1, 2 FROM gone ON CONFLICT DO NOTHING`,
  copy: (dice, t, folder) => [
    `COPY (SELECT ${names(t)} FROM ${t.name} WHERE id = ${id(dice, t)}) TO '${folder}/rows'`,
    `DELETE FROM ${t.name} WHERE id < ${dice.int(10)}`,
    `COPY ${t.name} (${names(t)}) FROM '${folder}/rows'`,
  ],
  truncate: (dice, t) => (dice.chance(0.3) ? `TRUNCATE ${t.name} CASCADE` : `DELETE FROM ${t.name} WHERE id = 1`),
  refresh: () => "REFRESH MATERIALIZED VIEW m",
};

const DEFINITIONS = [
  () => "CREATE OR REPLACE VIEW v_sum AS SELECT a AS id, a, count(*)::int AS b FROM v_join GROUP BY a",
  () => "CREATE OR REPLACE VIEW v_sum AS SELECT a AS id, a, max(b)::int AS b FROM v_join WHERE a > 2 GROUP BY a",
  () => "ALTER POLICY mine ON secrets USING (a > 4)",
  () => "ALTER POLICY mine ON secrets USING (EXISTS (SELECT FROM o.members AS m WHERE m.a = secrets.a))",
  () => "CREATE OR REPLACE FUNCTION f_sql(x int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM o.t1 WHERE a > x'",
  () => "CREATE OR REPLACE FUNCTION f_sql(x int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(b) FROM o.log WHERE a > x'",
  () => "ALTER TABLE p DETACH PARTITION p_low",
  () => "ALTER TABLE p ATTACH PARTITION p_low FOR VALUES FROM (MINVALUE) TO (10)",
  () => "CREATE INDEX IF NOT EXISTS t0_late ON t0 (b)",
  () => "ALTER TABLE child NO INHERIT t3",
  () => "ALTER TABLE child INHERIT t3",
  () => "REVOKE SELECT ON t1 FROM oracle_reader",
  () => "GRANT SELECT ON t1 TO oracle_reader",
  () => "ALTER TABLE secrets DISABLE ROW LEVEL SECURITY",
  () => "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY",
];

/** The statements of a transaction, and whether it commits. A list is one that is rolled back to before it. */
export function makeTransaction(dice, { tables }, folder) {
  const writable = tables.filter((table) => table.writable);
  if (dice.chance(0.02)) {
    return { statements: [dice.pick(DEFINITIONS)()], commits: true };
  }
  const statements = [];
  for (let count = dice.pick([1, 1, 1, 2, 3]); count > 0; count -= 1) {
    const kind = dice.pick(Object.keys(STATEMENTS));
    const made = [STATEMENTS[kind](dice, dice.pick(writable), folder)].flat();
    if (dice.chance(0.1)) {
      statements.push(made);
    } else {
      statements.push(...made);
    }
  }
  return { statements, commits: !dice.chance(0.05) };
}
