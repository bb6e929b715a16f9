// Generated tables: what each has, and how it is made. All choices come from a seeded generator.

/** Small sets of values, so that conditions hit and NULLs, duplicates and key changes are common. */
export class Dice {
  constructor(random) {
    this.random = random;
  }
  int(below) {
    return Math.floor(this.random() * below);
  }
  chance(part) {
    return this.random() < part;
  }
  pick(list) {
    return list[this.int(list.length)];
  }
  some(list, most) {
    const count = 1 + this.int(most);
    return Array.from({ length: count }, () => this.pick(list));
  }
}

const LONG = "x".repeat(140);
const WORDS = [LONG, `${LONG}y`, "", "a", "ab", "abc", "b", "ba", "Ab", "ä", "z%", "z_"];

/** Column types with a literal of each, and whether LIKE and arithmetic make sense. */
const TYPES = {
  int: (dice) => String(dice.int(12)),
  bigint: (dice) => String(dice.int(12)),
  smallint: (dice) => String(dice.int(12)),
  text: (dice) => `'${dice.pick(WORDS)}'`,
  'text COLLATE "C"': (dice) => `'${dice.pick(WORDS)}'`,
  "varchar(150)": (dice) => `'${dice.pick(WORDS)}'`,
  "char(4)": (dice) => `'${dice.pick(["", "a", "a ", "ab"])}'`,
  boolean: (dice) => dice.pick(["true", "false"]),
  numeric: (dice) => dice.pick(["0", "1", "1.0", "1.00", "2.5", "'NaN'", "-3"]),
  float8: (dice) => dice.pick(["0", "'-0'", "1", "2.5", "'NaN'", "'Infinity'"]),
  float4: (dice) => dice.pick(["0", "'-0'", "0.1", "2.5", "'NaN'", "'-Infinity'"]),
  mood: (dice) => `'${dice.pick(["sad", "ok", "happy", "Ok"])}'`,
  bytea: (dice) => `'\\x${dice.pick(["", "00", "0001", "61", "ff"])}'`,
  timestamp: (dice) => `'2024-01-0${1 + dice.int(9)} 12:00'`,
  // Equal whatever the case; LIKE is not for it.
  'text COLLATE "folded"': (dice) => `'${dice.pick(["", "a", "A", "ab", "AB", "aB"])}'`,
  date: (dice) => `'2024-01-0${1 + dice.int(9)}'`,
  timestamptz: (dice) => `'2024-01-0${1 + dice.int(9)} 12:00+00'`,
  time: (dice) => `'0${dice.int(9)}:00'`,
  // Equal in several ways of writing it, and no keys are made of them.
  interval: (dice) => `'${dice.pick(["1 day", "24 hours", "2 hours", "1 month", "30 days"])}'`,
  jsonb: (dice) => `'${dice.pick(["1", "1.0", "null", '"a"', '{"a": 1, "b": 2}', '{"b": 2, "a": 1.0}', "[1, 2]"])}'`,
  small: (dice) => String(dice.int(12)),
  word: (dice) => `'${dice.pick(["", "a", "ab", "b"])}'`,
  uuid: (dice) => `'00000000-0000-0000-0000-00000000000${dice.int(9)}'`,
};

export const literal = (dice, type) => (dice.chance(0.1) ? "NULL" : `${TYPES[type](dice)}::${type}`);
export const constant = (dice, type) => `${TYPES[type](dice)}::${type.replace(/ COLLATE ".*"/, "")}`;
export const isText = (type) => (type.startsWith("text") && !type.includes("folded")) || type.startsWith("varchar");

function columns(dice) {
  const list = [{ name: "a", type: "int" }, { name: "b", type: "int" }];
  for (const name of ["c", "d", "e", "f", "g"]) {
    list.push({ name, type: dice.pick(Object.keys(TYPES)) });
  }
  // Written by nobody.
  list.push({ name: "h", type: "int", generated: true });
  return list;
}

const declared = ({ name, type, generated }) => `${name} ${type}${generated ? " GENERATED ALWAYS AS (coalesce(a, 0) + coalesce(b, 1)) STORED" : ""}`;

/**
 * A condition of a partial index, by what stands before the names of columns. A scan of the index does not check it
 * again, nor does its plan name it.
 */
const indexCondition = (dice, table) => {
  const { name, type } = dice.pick(table.columns);
  const value = constant(dice, type);
  return dice.pick([
    (of) => `${of}b > 4`,
    (of) => `${of}a IS NOT NULL`,
    (of) => `${of}a < 6 AND ${of}b IS NOT NULL`,
    (of) => `${of}${name} IS NULL`,
    (of) => `${of}${name} IS NOT NULL`,
    (of) => `${of}${name} > ${value}`,
  ]);
};

/** Indexes of several kinds. */
function indexes(dice, table) {
  const statements = [];
  if (dice.chance(0.7)) {
    statements.push(`CREATE INDEX ON ${table.name} (${dice.pick(table.columns).name}, a)`);
  }
  table.conditions = Array.from({ length: dice.int(3) }, () => indexCondition(dice, table));
  for (const condition of table.conditions) {
    statements.push(`CREATE INDEX ON ${table.name} (${dice.pick(["id", "a", "b, id", dice.pick(table.columns).name])}) WHERE ${condition("")}`);
  }
  if (dice.chance(0.3)) {
    statements.push(`CREATE INDEX ON ${table.name} ${dice.pick(["(abs(a))", "((a + b), id)", "USING hash (b)", "USING brin (a)", "(coalesce(b, 0))"])}`);
  }
  return statements;
}

/** A schema: tables, views and functions to query, and the statements that make them. */
export function makeSchema(dice) {
  const statements = [
    "CREATE SCHEMA o",
    "CREATE SCHEMA api",
    "SET search_path = o, public",
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'Ok')",
    "CREATE DOMAIN small AS int",
    'CREATE DOMAIN word AS text COLLATE "C"',
    "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
  ];
  const tables = [];
  const add = (table) => tables.push(table);
  for (const name of ["t0", "t1", "t2", "t3"]) {
    const table = { name, columns: columns(dice), writable: true };
    // t1 and t2 follow t0 when it changes.
    const action = { t1: "CASCADE", t2: "SET NULL" }[name];
    const key = action ? `, fk int REFERENCES t0 (id) ON DELETE ${action} ON UPDATE ${action}` : "";
    const list = table.columns.map(declared).join(", ");
    statements.push(`CREATE TABLE ${name} (id int PRIMARY KEY, ${list}${key})`);
    if (action) {
      table.columns.push({ name: "fk", type: "int", references: true });
    }
    statements.push(...indexes(dice, table));
    add(table);
  }
  const partitioned = { name: "p", columns: columns(dice), writable: true };
  const list = partitioned.columns.map(declared).join(", ");
  statements.push(
    `CREATE TABLE p (id int, ${list}, PRIMARY KEY (id)) PARTITION BY RANGE (id)`,
    "CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (MINVALUE) TO (10)",
    "CREATE TABLE p_mid PARTITION OF p FOR VALUES FROM (10) TO (25) PARTITION BY HASH (id)",
    "CREATE TABLE p_mid0 PARTITION OF p_mid FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    "CREATE TABLE p_mid1 PARTITION OF p_mid FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    "CREATE TABLE p_rest PARTITION OF p DEFAULT",
    ...indexes(dice, partitioned),
  );
  add(partitioned);
  add({ name: "p_mid", columns: partitioned.columns, range: [10, 25], writable: true });
  add({ name: "p_low", columns: partitioned.columns, range: [0, 10], writable: true });
  statements.push(
    // Inheritance.
    "CREATE TABLE child (LIKE t3 INCLUDING INDEXES) INHERITS (t3)",
    // A trigger that writes elsewhere, and a table that only it writes.
    "CREATE TABLE log (id int PRIMARY KEY, a int, b int)",
    `CREATE FUNCTION count_writes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO o.log VALUES (coalesce(new.id, old.id) % 5, 1, coalesce(new.a, old.a))
         ON CONFLICT (id) DO UPDATE SET a = o.log.a + 1, b = excluded.b;
       RETURN NULL; END $$`,
    // One that changes rows, or keeps them as they were; one that fires at the end of the transaction; and a rule.
    `CREATE FUNCTION change_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF new.b = 7 THEN new.a = 0; END IF;
       IF new.b = 11 AND tg_op = 'UPDATE' THEN RETURN NULL; END IF;
       RETURN new; END $$`,
    "CREATE TRIGGER changed BEFORE INSERT OR UPDATE ON t3 FOR EACH ROW EXECUTE FUNCTION change_row()",
    `CREATE FUNCTION write_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO o.log VALUES (10 + new.id % 3, new.a, 1) ON CONFLICT (id) DO UPDATE SET a = excluded.a, b = o.log.b + 1;
       RETURN NULL; END $$`,
    "CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON t0 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION write_late()",
    "CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON t2 FOR EACH ROW EXECUTE FUNCTION count_writes()",
    // Rights by rows: the policy reads another table.
    "CREATE TABLE members (id int PRIMARY KEY, a int, b int)",
    // MERGE and COPY do not go where rules are.
    "CREATE TABLE ruled (id int PRIMARY KEY, a int, b int)",
    "CREATE RULE noted AS ON DELETE TO ruled DO ALSO UPDATE log SET b = b + 1 WHERE id = old.id % 5",
    "CREATE TABLE secrets (id int PRIMARY KEY, a int, b int)",
    "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY",
    `CREATE POLICY mine ON secrets USING (EXISTS (SELECT FROM o.members AS m
       WHERE m.a = secrets.a AND m.b::text = current_setting('request.who', true)))`,
    // Views, one over the other, and a materialized one.
    "CREATE VIEW v_join AS SELECT x.id, x.a, y.b FROM t0 AS x LEFT JOIN t1 AS y ON y.fk = x.id",
    "CREATE VIEW v_sum AS SELECT a AS id, a, count(*)::int AS b FROM v_join GROUP BY a",
    "CREATE VIEW v_rows AS SELECT * FROM t1 WHERE a > 2",
    "CREATE MATERIALIZED VIEW m AS SELECT id, a, b FROM t3 WHERE a > 3",
    // Functions: one that is inlined, one that is not, one in PL/pgSQL.
    "CREATE FUNCTION f_inline(x int) RETURNS SETOF t0 LANGUAGE sql STABLE AS 'SELECT * FROM o.t0 WHERE a = x'",
    "CREATE FUNCTION f_sql(x int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM o.t1 WHERE a = x'",
    `CREATE FUNCTION f_plpgsql(x int) RETURNS int LANGUAGE plpgsql STABLE AS $$ DECLARE r int; BEGIN
       IF x > 5 THEN SELECT sum(b) INTO r FROM o.t2; ELSE EXECUTE 'SELECT max(a) FROM o.log' INTO r; END IF;
       RETURN r; END $$`,
    // With parameters, which are not constants in the plan.
    "CREATE FUNCTION f_equal(x int) RETURNS TABLE (n int) LANGUAGE plpgsql STABLE AS 'BEGIN RETURN QUERY SELECT id FROM o.t0 WHERE a = x; END'",
    "CREATE FUNCTION f_range(x int, y int) RETURNS TABLE (n int) LANGUAGE plpgsql STABLE AS 'BEGIN RETURN QUERY SELECT id FROM o.p WHERE a >= x AND a < y; END'",
    "CREATE FUNCTION f_between(x int, y int) RETURNS TABLE (n int) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS 'BEGIN RETURN QUERY SELECT id FROM o.t3 WHERE a > x AND a <= y; END'",
    "CREATE FUNCTION f_list(x int[]) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM o.t1 WHERE b = ANY (x) OR a IS NULL'",
    "CREATE FUNCTION f_either(x int, y int) RETURNS TABLE (n int) LANGUAGE plpgsql STABLE AS 'BEGIN RETURN QUERY SELECT id FROM o.t3 WHERE a = x OR b = y; END'",
    "CREATE ROLE oracle_reader",
    "GRANT USAGE ON SCHEMA o, api, live TO oracle_reader",
    "GRANT EXECUTE ON FUNCTION live.explain(text, json) TO oracle_reader",
    "GRANT SELECT ON ALL TABLES IN SCHEMA o TO oracle_reader",
    "GRANT EXECUTE ON FUNCTION live.watch_query(bigint, bigint, bigint, text) TO oracle_reader",
  );
  const small = [{ name: "a", type: "int" }, { name: "b", type: "int" }];
  add({ name: "child", columns: tables.find(({ name }) => name === "t3").columns, writable: true });
  add({ name: "v_rows", columns: tables.find(({ name }) => name === "t1").columns, writable: true });
  add({ name: "members", columns: small, writable: true });
  add({ name: "ruled", columns: small, writable: true });
  add({ name: "secrets", columns: small, writable: true, byRow: true });
  for (const name of ["log", "v_join", "v_sum", "m"]) {
    add({ name, columns: small, writable: false });
  }
  return { statements, tables };
}
