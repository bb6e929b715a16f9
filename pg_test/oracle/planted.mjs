// Mistakes of capture and of its notices, planted in a running server: each must be noticed by the comparison that the
// oracle makes. `plant` and `undo` are run with the extension's own repairs off; `write` is the change that nobody is told of.
const quiet = (...tables) => ({
  plant: tables.map((table) => `ALTER TABLE ${table} DISABLE TRIGGER USER`).join("; "),
  undo: tables.map((table) => `ALTER TABLE ${table} ENABLE TRIGGER USER; SELECT live.repair_triggers('${table}', true)`).join("; "),
});
const without = (trigger, table) => ({
  plant: `ALTER TABLE ${table} DISABLE TRIGGER ${trigger}`,
  undo: `SELECT live.repair_triggers('${table}', true)`,
});
const deaf = (...triggers) => ({
  plant: triggers.map((name) => `ALTER EVENT TRIGGER ${name} DISABLE`).join("; "),
  undo: triggers.map((name) => `ALTER EVENT TRIGGER ${name} ENABLE ALWAYS`).join("; "),
});
const DEFINITIONS = ["pg_live_definition", "pg_live_definition_drop", "pg_live_ddl", "pg_live_drop"];

export const ROWS = [
  "INSERT INTO o.members VALUES (900, 1, 3) ON CONFLICT DO NOTHING",
  "INSERT INTO o.secrets VALUES (77, 5, 1), (78, 1, 1) ON CONFLICT DO NOTHING",
  "DELETE FROM o.t0",
  "INSERT INTO o.t0 (id, a, b) VALUES (900, 1, 1), (901, 2, 2), (902, 3, 3)",
  "INSERT INTO o.t1 (id, a, b, fk) VALUES (900, 1, 1, 900), (901, 1, 1, 901)",
  "INSERT INTO o.t2 (id, a, b) VALUES (900, 1, 1)",
  "INSERT INTO o.p (id, a, b) VALUES (-1, 1, 1)",
];

export const MISTAKES = {
  "an INSERT is not noted": {
    ...without("pg_live_insert", "o.t0"),
    write: "INSERT INTO o.t0 (id, a, b) VALUES (1000, 1, 1)",
    query: "SELECT count(*) AS n FROM t0",
  },
  "an UPDATE is not noted": {
    ...without("pg_live_update", "o.t0"),
    write: "UPDATE o.t0 SET b = 77 WHERE id = 901",
    query: "SELECT b FROM t0 WHERE id = 901",
  },
  "a DELETE is not noted": {
    ...without("pg_live_delete", "o.t2"),
    write: "DELETE FROM o.t2 WHERE id = 900",
    query: "SELECT a FROM t2 WHERE id = 900",
  },
  "COPY is not noted": {
    ...without("pg_live_insert", "o.members"),
    write: (folder) => `COPY (SELECT 2000, 8, 8) TO '${folder}/planted'; COPY o.members FROM '${folder}/planted'`,
    query: "SELECT count(*) AS n FROM members WHERE a = 8",
  },
  "MERGE is not noted": {
    ...without("pg_live_update", "o.members"),
    write: "MERGE INTO o.members AS m USING (VALUES (900)) AS s (k) ON m.id = s.k WHEN MATCHED THEN UPDATE SET a = 99",
    query: "SELECT a FROM members WHERE id = 900",
  },
  "what a cascade deletes is not noted": {
    ...without("pg_live_delete", "o.t1"),
    write: "DELETE FROM o.t0 WHERE id = 900",
    query: "SELECT count(*) AS n FROM t1 WHERE id = 900",
  },
  "what a trigger writes is not noted": {
    ...quiet("o.log"),
    write: "INSERT INTO o.t2 (id, a, b) VALUES (3000, 1, 1)",
    query: "SELECT sum(a) AS n FROM log",
  },
  "a child of an inherited table is not captured": {
    ...quiet("o.child"),
    write: "INSERT INTO o.child (id, a, b) VALUES (3001, 1, 1)",
    query: "SELECT count(*) AS n FROM t3",
  },
  "no trigger of a partition tree fires": {
    plant: `DO $$ DECLARE part regclass; BEGIN FOR part IN SELECT relid FROM pg_partition_tree('o.p') LOOP
              EXECUTE format('ALTER TABLE ONLY %s DISABLE TRIGGER USER', part); END LOOP; END $$`,
    undo: `DO $$ DECLARE part regclass; BEGIN FOR part IN SELECT relid FROM pg_partition_tree('o.p') LOOP
              EXECUTE format('ALTER TABLE ONLY %s ENABLE TRIGGER USER', part);
              PERFORM live.repair_triggers(part, true); END LOOP; END $$`,
    write: "INSERT INTO o.p (id, a, b) VALUES (1000, 1, 1)",
    query: "SELECT count(*) AS n, sum(a), sum(b) FROM p",
  },
  "TRUNCATE is not noted": {
    ...without("pg_live_truncate", "o.log"),
    write: "TRUNCATE o.log",
    query: "SELECT count(*) > 0 AS some FROM log",
  },
  "a materialized view is refreshed without a word": {
    ...deaf("pg_live_ddl"),
    write: "INSERT INTO o.t3 (id, a, b) VALUES (4000, 9, 9); REFRESH MATERIALIZED VIEW o.m",
    query: "SELECT count(*) AS n FROM m",
  },
  "a function is replaced without a word": {
    ...deaf("pg_live_definition"),
    write: "CREATE OR REPLACE FUNCTION o.f_sql(x int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 12345::bigint'",
    query: "SELECT f_sql(2) AS n",
  },
  "a view is replaced without a word": {
    ...deaf("pg_live_definition"),
    write: "CREATE OR REPLACE VIEW o.v_sum AS SELECT 5 AS id, 5 AS a, 5 AS b",
    query: "SELECT * FROM v_sum",
  },
  "a policy is changed without a word": {
    ...deaf("pg_live_definition", "pg_live_ddl"),
    write: "ALTER POLICY mine ON o.secrets USING (id = 77)",
    query: "SELECT id FROM secrets",
    role: "oracle_reader",
  },
  "a right is taken without a word": {
    ...deaf("pg_live_definition"),
    write: "REVOKE SELECT ON o.members FROM oracle_reader",
    query: "SELECT count(*) AS n FROM members",
    role: "oracle_reader",
  },
  "a partition is detached without a word": {
    ...deaf(...DEFINITIONS),
    write: "ALTER TABLE o.p DETACH PARTITION o.p_low",
    query: "SELECT count(*) > 0 AS some FROM p WHERE id < 10",
  },
  "a table is dropped without a word": {
    ...deaf(...DEFINITIONS),
    write: "DROP TABLE o.members CASCADE",
    query: "SELECT id FROM members",
  },
};
