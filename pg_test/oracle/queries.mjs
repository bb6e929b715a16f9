// Generated queries over a generated schema, by class. Each has one result whatever the plan is.
import { constant, isText } from "./schema.mjs";

/** A condition on the columns of an alias. */
export function condition(dice, table, alias, depth = 0) {
  if (depth < 2 && dice.chance(0.35)) {
    const [left, right] = [condition(dice, table, alias, depth + 1), condition(dice, table, alias, depth + 1)];
    return `(${left} ${dice.pick(["AND", "OR"])} ${right})`;
  }
  if (depth < 2 && dice.chance(0.1)) {
    return `NOT ${condition(dice, table, alias, depth + 1)}`;
  }
  if (dice.chance(0.25)) {
    return `${alias}.id ${dice.pick(["=", "=", "<", ">=", "<>"])} ${dice.int(40)}`;
  }
  const column = dice.pick(table.columns);
  const name = `${alias}.${column.name}`;
  const value = () => constant(dice, column.type);
  if (column.type === "boolean" && dice.chance(0.5)) {
    return dice.pick([name, `NOT ${name}`, `${name} IS TRUE`, `${name} IS NOT TRUE`, `${name} IS UNKNOWN`]);
  }
  if (isText(column.type) && dice.chance(0.4)) {
    return `${name} ${dice.pick(["LIKE", "LIKE", "NOT LIKE", "ILIKE"])} '${dice.pick(["a%", "ab%", "%b", "z\\%%", "", "_", "a_%"])}'`;
  }
  return dice.pick([
    () => `${name} = ${value()}`,
    () => `${name} = ${value()}`,
    () => `${value()} = ${name}`,
    () => `${name} <> ${value()}`,
    () => `${name} ${dice.pick(["<", "<=", ">", ">="])} ${value()}`,
    () => `${name} BETWEEN ${value()} AND ${value()}`,
    () => `${name} IN (${value()}, ${value()}, NULL)`,
    () => `${name} = ANY (ARRAY[${value()}, ${value()}])`,
    () => `${name} NOT IN (${value()}, ${value()})`,
    () => `${name} IS NULL`,
    () => `${name} IS NOT NULL`,
    () => `${name} IS DISTINCT FROM ${value()}`,
    () => `coalesce(${name}, ${value()}) = ${value()}`,
    () => `${alias}.a + 1 = ${dice.int(12)}`,
    () => `${alias}.a = ${alias}.b`,
    () => `${alias}.a::bigint = ${dice.int(12)}`,
    () => `${alias}.a = ${dice.int(12)}::bigint`,
    () => `${alias}.a = ${dice.int(12)}.0`,
  ])();
}

/** Three of a table's columns. */
function three(dice, table, alias) {
  const names = ["id", ...table.columns.map(({ name }) => name)];
  const picked = new Set();
  while (picked.size < 3) {
    picked.add(dice.pick(names));
  }
  return [...picked].map((name) => `${alias}.${name}`).join(", ");
}

/** A table's rows by a condition on one column, of which `make` makes the rest. */
function byColumn(dice, table, make, fits = () => true) {
  const column = dice.pick(table.columns.filter(fits));
  return `SELECT ${three(dice, table, "x")} FROM ${table.name} AS x WHERE x.${column.name} ${make(() => constant(dice, column.type))}`;
}

const CLASSES = {
  booleans: (dice, { x, where }) =>
    x.columns.some(({ type }) => type === "boolean")
      ? byColumn(dice, x, () => dice.pick(["IS TRUE", "IS NOT TRUE", "IS FALSE", "IS UNKNOWN", "= true", "<> true"]), ({ type }) => type === "boolean")
      : `SELECT ${three(dice, x, "x")} FROM ${x.name} AS x WHERE ${where("x")}`,
  counted: (dice, { x }) => `SELECT count(*) FROM ${x.name} AS x`,
  equality: (dice, { x }) => byColumn(dice, x, (value) => `= ${value()}`),
  key: (dice, { x }) => `SELECT ${three(dice, x, "x")} FROM ${x.name} AS x WHERE x.id = ${dice.int(40)}`,
  range: (dice, { x }) =>
    dice.pick([
      byColumn(dice, x, (value) => dice.pick([`< ${value()}`, `>= ${value()}`, `BETWEEN ${value()} AND ${value()}`])),
      `SELECT ${three(dice, x, "x")} FROM ${x.name} AS x WHERE x.a > ${dice.int(6)} AND x.a <= ${4 + dice.int(8)}`,
    ]),
  list: (dice, { x }) => byColumn(dice, x, (value) => dice.pick([`IN (${value()}, ${value()})`, `= ANY (ARRAY[${value()}, NULL])`])),
  nulls: (dice, { x }) => byColumn(dice, x, () => dice.pick(["IS NULL", "IS NOT NULL"])),
  prefix: (dice, { x, where }) =>
    x.columns.some(({ type }) => isText(type))
      ? byColumn(dice, x, () => `LIKE '${dice.pick(["a%", "ab%", "z\\%%", "Ab%", "%"])}'`, ({ type }) => isText(type))
      : `SELECT ${three(dice, x, "x")} FROM ${x.name} AS x WHERE ${where("x")}`,
  either: (dice, { x, where }) => `SELECT ${three(dice, x, "x")} FROM ${x.name} AS x WHERE ${where("x")} OR ${where("x")}`,
  both: (dice, { x, where }) => `SELECT ${three(dice, x, "x")} FROM ${x.name} AS x WHERE ${where("x")} AND ${where("x")}`,
  scan: (dice, { x, where }) => `SELECT ${three(dice, x, "x")} FROM ${x.name} AS x WHERE ${where("x")}`,
  parameters: (dice) =>
    dice.pick([
      `SELECT * FROM f_equal(${dice.int(12)})`,
      `SELECT * FROM f_range(${dice.int(6)}, ${4 + dice.int(8)})`,
      `SELECT * FROM f_between(${dice.int(6)}, ${4 + dice.int(8)})`,
      `SELECT f_list(ARRAY[${dice.int(12)}, ${dice.int(12)}, NULL])`,
      `SELECT * FROM f_either(${dice.int(12)}, ${dice.int(12)})`,
      `SELECT x.id, e.n FROM t2 AS x, LATERAL f_equal(x.b) AS e WHERE x.a < ${dice.int(6)}`,
    ]),
  join: (dice, { x, y, where }) =>
    `SELECT x.id, y.id AS other, y.a FROM ${x.name} AS x ${dice.pick(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])} ${y.name} AS y
       ON x.${dice.pick(["id", "a"])} = y.${dice.pick(["id", "b"])} ${dice.chance(0.4) ? `AND y.a = ${dice.int(9)}` : ""}
       WHERE ${dice.pick([where("x"), where("y"), "true", `y.id IS NULL OR ${where("y")}`])}`,
  aggregate: (dice, { x, where }) =>
    `SELECT x.b, count(*), sum(x.a), min(x.id), bool_or(x.a > 3), count(DISTINCT x.a) FROM ${x.name} AS x WHERE ${where("x")}
       GROUP BY ${dice.pick(["x.b", "ROLLUP (x.b)"])} ${dice.chance(0.3) ? "HAVING count(*) > 1" : ""}`,
  total: (dice, { x, where }) => `SELECT count(*), max(x.a), min(x.b) FROM ${x.name} AS x WHERE ${where("x")}`,
  first: (dice, { x, where }) =>
    `SELECT x.id, x.a FROM ${x.name} AS x WHERE ${where("x")} ORDER BY x.a ${dice.pick(["", "DESC"])} NULLS LAST, x.id, x.b LIMIT ${1 + dice.int(4)} OFFSET ${dice.int(3)}`,
  distinct: (dice, { x, where }) =>
    dice.pick([
      `SELECT DISTINCT x.a, x.b FROM ${x.name} AS x WHERE ${where("x")}`,
      `SELECT DISTINCT ON (x.a) x.a, x.id, x.b FROM ${x.name} AS x ORDER BY x.a, x.id, x.b`,
    ]),
  exists: (dice, { x, y, where }) =>
    `SELECT x.id FROM ${x.name} AS x WHERE ${dice.pick(["EXISTS", "NOT EXISTS"])} (SELECT FROM ${y.name} AS y WHERE y.b = x.a AND ${where("y")})`,
  inside: (dice, { x, y, where }) =>
    `SELECT x.id FROM ${x.name} AS x WHERE x.a ${dice.pick(["IN", "NOT IN"])} (SELECT y.b FROM ${y.name} AS y WHERE ${where("y")})`,
  scalar: (dice, { x, y, where }) =>
    `SELECT x.id, (SELECT count(*) FROM ${y.name} AS y WHERE y.a = x.b AND ${where("y")}) AS n FROM ${x.name} AS x WHERE ${where("x")}`,
  window: (dice, { x, where }) =>
    `SELECT x.id, row_number() OVER (PARTITION BY x.b ORDER BY x.id, x.a), sum(x.a) OVER (ORDER BY x.id, x.a, x.b) FROM ${x.name} AS x WHERE ${where("x")}`,
  sets: (dice, { x, y, where }) =>
    `SELECT x.a, x.b FROM ${x.name} AS x WHERE ${where("x")} ${dice.pick(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"])} SELECT y.a, y.b FROM ${y.name} AS y WHERE ${where("y")}`,
  with: (dice, { x, y, where }) =>
    `WITH ${dice.pick(["q AS MATERIALIZED", "q AS"])} (SELECT x.a, x.id FROM ${x.name} AS x WHERE ${where("x")})
       SELECT q.id, y.id AS other FROM q, ${y.name} AS y WHERE y.a = q.a AND (SELECT count(*) FROM q) > 1`,
  recursive: () =>
    "WITH RECURSIVE r(id, depth) AS (SELECT id, 0 FROM t1 WHERE a > 5 UNION SELECT t2.id, depth + 1 FROM r JOIN t2 ON t2.fk = r.id WHERE depth < 4) SELECT * FROM r",
  lateral: (dice, { x, y, where }) =>
    `SELECT x.id, l.* FROM ${x.name} AS x ${dice.pick(["CROSS JOIN LATERAL", "LEFT JOIN LATERAL"])} (SELECT y.id AS other FROM ${y.name} AS y WHERE y.a = x.a AND ${where("y")} ORDER BY y.id, y.b LIMIT 1) AS l ON_TRUE`
      .replace(/(CROSS.*) ON_TRUE/s, "$1").replace("ON_TRUE", "ON true"),
  anti: (dice, { x, y, where }) =>
    `SELECT x.id FROM ${x.name} AS x LEFT JOIN ${y.name} AS y ON y.a = x.a AND ${where("y")} WHERE y.id IS NULL`,
  // By keys that are looked up while the query runs; plans of the others are mostly joins of whole scans.
  lookups: (dice, { x, y, where }) => {
    const [z, key, other] = [`${y.name} AS z`, dice.pick(["id", "a", "b"]), dice.pick(["id", "a", "b"])];
    return dice.pick([
      () => `SELECT x.id, y.id AS other, y.b FROM ${x.name} AS x ${dice.pick(["JOIN", "LEFT JOIN"])} ${y.name} AS y ON y.${key} = x.${other} WHERE x.a = ${dice.int(12)}`,
      () => `SELECT x.id, y.id AS other, z.a FROM ${x.name} AS x, ${y.name} AS y, ${z} WHERE x.id < ${dice.int(12)} AND y.${key} = x.a AND z.${other} = y.b`,
      () => `SELECT x.id FROM ${x.name} AS x WHERE x.b = ${dice.int(12)} AND ${dice.pick(["EXISTS", "NOT EXISTS"])} (SELECT FROM ${y.name} AS y WHERE y.${key} = x.${other} AND ${where("y")})`,
      () => `SELECT x.id, (SELECT count(*) FROM ${y.name} AS y WHERE y.${key} = x.${other} AND ${where("y")}) FROM ${x.name} AS x WHERE x.id < ${dice.int(12)}`,
      () => `SELECT y.id, y.b FROM ${y.name} AS y WHERE ${dice.chance(0.3) ? where("y") : "true"} AND y.${key} = (SELECT ${dice.pick(["max", "min"])}(x.${other}) FROM ${x.name} AS x WHERE ${where("x")})`,
      () => `SELECT y.id, y.a FROM ${y.name} AS y WHERE y.${key} = ANY (ARRAY(SELECT x.${other} FROM ${x.name} AS x WHERE x.a = ${dice.int(12)}))`,
      () => `SELECT x.id, l.* FROM ${x.name} AS x LEFT JOIN LATERAL (SELECT y.id AS other FROM ${y.name} AS y WHERE y.${key} = x.${other} ORDER BY y.id, y.b LIMIT 1) AS l ON true WHERE x.b = ${dice.int(12)}`,
      () => `SELECT x.id, y.id AS other FROM ${x.name} AS x JOIN ${y.name} AS y ON y.${key} = x.${other} WHERE x.id > 3 ORDER BY x.id, y.id, x.b, y.b LIMIT 3`,
    ])();
  },
  // By the condition of a partial index: its scan shows by no other column that the row has it.
  partial: (dice, { x, where }) => {
    const conditions = x.conditions ?? [];
    const fits = conditions.length > 0 ? dice.pick(conditions)("x.") : where("x");
    const rest = dice.pick(["true", `x.a = ${dice.int(12)}`, `x.id < ${dice.int(40)}`, where("x")]);
    return dice.pick([
      () => `SELECT ${three(dice, x, "x")} FROM ${x.name} AS x WHERE ${fits} AND ${rest}`,
      () => `SELECT x.id FROM ${x.name} AS x WHERE ${fits} ORDER BY x.id LIMIT ${1 + dice.int(4)}`,
      () => `SELECT count(*), min(x.id) FROM ${x.name} AS x WHERE ${fits} AND ${rest}`,
      () => `SELECT y.id, x.id AS other FROM t0 AS y JOIN ${x.name} AS x ON x.a = y.a AND ${fits} WHERE y.id < ${dice.int(20)}`,
    ])();
  },
  whole: (dice, { x, where }) => `SELECT x FROM ${x.name} AS x WHERE ${where("x")}`,
  functions: (dice) =>
    dice.pick([
      `SELECT id, a FROM f_inline(${dice.int(12)})`,
      `SELECT f_sql(${dice.int(12)})`,
      "SELECT x.id, f_sql(x.a) AS n FROM t0 AS x WHERE x.b > 4",
      "SELECT x.id, f_plpgsql(x.a) AS n FROM t3 AS x WHERE x.b > 6",
    ]),
};

/** What the plan of a query may not have: tables are small, so that most would be scanned as a whole. */
function without(dice, of) {
  if (of === "partial") {
    return "bitmaps";
  }
  return of === "lookups" || dice.chance(0.3) ? dice.pick(["whole scans", "bitmaps"]) : "nothing";
}

/** `count` queries, all classes in turn. */
export function makeQueries(dice, { tables }, count) {
  const classes = Object.keys(CLASSES);
  return Array.from({ length: count }, (_, index) => {
    const of = classes[index % classes.length];
    const indexed = tables.filter(({ conditions }) => conditions?.length > 0);
    const [x, y] = [dice.pick(of === "partial" && indexed.length > 0 ? indexed : tables), dice.pick(tables)];
    const where = (alias) => condition(dice, alias === "x" ? x : y, alias);
    const sql = CLASSES[of](dice, { x, y, where });
    // Policies do not hold for superusers.
    const byRow = x.byRow || y.byRow || dice.chance(0.2);
    return { of, sql, without: without(dice, of), role: byRow && !sql.includes("f_") ? "oracle_reader" : null };
  });
}
