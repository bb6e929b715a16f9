// The mix by which precision is told: tables of eight columns, queries that show three of them, and writes that change
// any of the columns with the same chance. Nothing is redefined or truncated, so what runs again runs because of rows.

const TABLES = ["orders", "items"];
/** Ids that are written are below; about half of them are rows. */
const IDS = 120;
/** Rows that nobody writes, with other values and on both sides of those of the rest: so plans are those of a table of some size. */
const QUIET = 5_000;
const SIDE = "(1 - 2 * (i % 2))";
const QUIET_ROW = `(1000 + i) * ${SIDE}, (1000 + i / 10) * ${SIDE}, (1000000 + i) * ${SIDE}, -i, -1, 'zz' || i, false, timestamptz '2000-01-01' + i * interval '1 minute'`;

const word = (dice) => `'${dice.pick(["a", "b", "c", "d"])}${dice.pick(["a", "e", "i", "o", "u"])}${dice.pick(["n", "r", "t"])}'`;
const orNull = (make) => (dice) => (dice.chance(0.05) ? "NULL" : make(dice));
const VALUES = {
  id: (dice) => String(dice.int(IDS)),
  grp: (dice) => String(dice.int(8)),
  ref: orNull((dice) => String(dice.int(IDS))),
  n: (dice) => String(dice.int(100)),
  price: orNull((dice) => `${dice.int(50)}.${dice.int(10)}0`),
  name: orNull(word),
  done: (dice) => String(dice.chance(0.5)),
  at: (dice) => `'2024-01-${String(1 + dice.int(28)).padStart(2, "0")} 12:00+00'`,
};
const NAMES = Object.keys(VALUES);
const row = (dice, id = VALUES.id(dice)) => `(${NAMES.map((name) => (name === "id" ? id : VALUES[name](dice))).join(", ")})`;

/** The tables, with rows. */
function makeSchema(dice) {
  const statements = ["CREATE SCHEMA o", "CREATE SCHEMA IF NOT EXISTS api", "SET search_path = o, public"];
  for (const table of TABLES) {
    const rows = Array.from({ length: IDS / 2 }, (_, index) => row(dice, String(index * 2)));
    statements.push(
      `CREATE TABLE ${table} (id int PRIMARY KEY, grp int NOT NULL, ref int, n int NOT NULL, price numeric(8, 2), name text, done boolean NOT NULL, at timestamptz NOT NULL)`,
      ...["grp", "ref", "n", "name"].map((column) => `CREATE INDEX ON ${table} (${column})`),
      `INSERT INTO ${table} VALUES ${rows.join(", ")}`,
      `INSERT INTO ${table} SELECT ${QUIET_ROW} FROM generate_series(1, ${QUIET}) AS i`,
      `ANALYZE ${table}`,
    );
  }
  statements.push(
    `CREATE FUNCTION of_group(x int) RETURNS TABLE (id int, n int, name text) LANGUAGE plpgsql STABLE
       AS 'BEGIN RETURN QUERY SELECT o.id, o.n, o.name FROM o.orders AS o WHERE o.grp = x; END'`,
  );
  return { statements, tables: TABLES };
}

/** Three of the columns of an alias, `with` among them. */
function three(dice, alias, ...others) {
  const picked = new Set(others);
  while (picked.size < 3) {
    picked.add(dice.pick(NAMES));
  }
  return [...picked].map((name) => `${alias}.${name}`).join(", ");
}

/** A value to compare with. */
function value(dice, column) {
  let text = "NULL";
  while (text === "NULL") {
    text = VALUES[column](dice);
  }
  return text;
}

const rows = (dice, condition) => `SELECT ${three(dice, "x")} FROM ${dice.pick(TABLES)} AS x WHERE ${condition}`;
const equal = (dice, column) => `x.${column} = ${value(dice, column)}`;
const others = (dice) => dice.pick(NAMES.filter((name) => name !== "id"));
const two = (dice) => (dice.chance(0.5) ? TABLES : TABLES.toReversed());

const CLASSES = {
  key: (dice) => rows(dice, equal(dice, "id")),
  equality: (dice) => rows(dice, equal(dice, others(dice))),
  list: (dice) => {
    const column = dice.pick(["id", "grp", "ref", "name"]);
    return rows(dice, `x.${column} IN (${value(dice, column)}, ${value(dice, column)}, ${value(dice, column)})`);
  },
  range: (dice) => {
    const column = dice.pick(["n", "price", "at"]);
    return rows(dice, `x.${column} ${dice.pick([`< ${value(dice, column)}`, `>= ${value(dice, column)}`, `BETWEEN ${value(dice, column)} AND ${value(dice, column)}`])}`);
  },
  prefix: (dice) => rows(dice, `x.name LIKE '${dice.pick(["a%", "b%", "co%", "da%"])}'`),
  nulls: (dice) => rows(dice, `x.${dice.pick(["name", "price", "ref"])} IS ${dice.pick(["", "NOT "])}NULL`),
  booleans: (dice) => rows(dice, dice.pick(["x.done", "NOT x.done"])),
  either: (dice) => rows(dice, `(${equal(dice, "grp")} OR ${equal(dice, "name")})`),
  function: (dice) => `SELECT * FROM of_group(${value(dice, "grp")})`,
  "count of equality": (dice) => `SELECT count(*) FROM ${dice.pick(TABLES)} AS x WHERE ${equal(dice, "grp")}`,
  "sum of equality": (dice) => `SELECT count(*), sum(x.n), max(x.price) FROM ${dice.pick(TABLES)} AS x WHERE ${equal(dice, "grp")}`,
  "two conditions": (dice) => rows(dice, `${equal(dice, "grp")} AND x.n < ${value(dice, "n")}`),
  "first three of equality": (dice) => `${rows(dice, equal(dice, "grp")).replace(/^SELECT .* FROM/, `SELECT ${three(dice, "x", "n", "id")} FROM`)} ORDER BY x.n, x.id LIMIT 3`,
  window: (dice) => `SELECT x.id, x.n, rank() OVER (PARTITION BY x.done ORDER BY x.n) FROM ${dice.pick(TABLES)} AS x WHERE ${equal(dice, "grp")}`,
  "join by key": (dice) => {
    const [x, y] = two(dice);
    return `SELECT x.id, x.n, y.${others(dice)} FROM ${x} AS x JOIN ${y} AS y ON y.id = x.ref WHERE ${equal(dice, "id")}`;
  },
  "join of equality": (dice) => {
    const [x, y] = two(dice);
    return `SELECT x.id, x.n, y.${others(dice)} FROM ${x} AS x LEFT JOIN ${y} AS y ON y.ref = x.id WHERE ${equal(dice, "grp")}`;
  },
  exists: (dice) => {
    const [x, y] = two(dice);
    return `SELECT ${three(dice, "x")} FROM ${x} AS x WHERE ${equal(dice, "grp")} AND EXISTS (SELECT FROM ${y} AS y WHERE y.ref = x.id AND y.done)`;
  },
  "whole table": (dice) => `SELECT ${three(dice, "x")} FROM ${dice.pick(TABLES)} AS x`,
  "groups of table": (dice) => `SELECT x.grp, count(*), sum(x.n) FROM ${dice.pick(TABLES)} AS x GROUP BY x.grp`,
  "first five of table": (dice) => `SELECT ${three(dice, "x", "n", "id")} FROM ${dice.pick(TABLES)} AS x ORDER BY x.n DESC, x.id LIMIT 5`,
  expression: (dice) => rows(dice, `x.grp + 1 = ${value(dice, "grp")}`),
};

/** These look at each row and run at each write: of each there are a few. */
const OF_TABLE = ["whole table", "groups of table", "first five of table", "expression"];
const FEW = 2;

/** `count` queries, these classes in turn. */
function makeQueries(classes, dice, count) {
  const queries = [];
  for (let turn = 0; queries.length < count; turn += 1) {
    const now = classes.filter((of) => turn < FEW || !OF_TABLE.includes(of));
    queries.push(...now.map((of) => ({ of, sql: CLASSES[of](dice), role: null })));
  }
  return queries.slice(0, count);
}

/** A transaction: most change one column of one row, some of up to five rows; as many rows come as go. */
function makeTransaction(dice) {
  const table = dice.pick(TABLES);
  const ids = dice.chance(0.1) ? dice.some([...Array(IDS).keys()], 5) : [dice.int(IDS)];
  const kind = dice.int(10);
  const statements = [];
  if (kind < 2) {
    statements.push(`INSERT INTO ${table} VALUES ${ids.map((id) => row(dice, id)).join(", ")} ON CONFLICT DO NOTHING`);
  } else if (kind < 4) {
    statements.push(`DELETE FROM ${table} WHERE id IN (${ids})`);
  } else {
    const column = dice.pick(NAMES);
    statements.push(...ids.map((id) => `UPDATE ${table} SET ${column} = ${VALUES[column](dice)} WHERE id = ${id}`));
  }
  return { statements, commits: true };
}

/** What an oracle runs: queries of some classes, or of all. */
export const mixOf = (classes = Object.keys(CLASSES)) => ({
  makeSchema,
  makeQueries: (dice, _, count) => makeQueries(classes, dice, count),
  makeTransaction,
});
