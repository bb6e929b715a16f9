-- LANGUAGE js: triggers.
CREATE SCHEMA js_triggers; SET search_path = js_triggers, public;
CREATE TABLE t (id int PRIMARY KEY, v text, n numeric, j jsonb, twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE js AS $$
  console.log([TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, JSON.stringify(TG_ARGV), JSON.stringify(NEW), JSON.stringify(OLD)].join(" | "));
  return NEW ?? OLD;
$$;
CREATE TRIGGER a_before BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION tell('x', 'it''s');
CREATE TRIGGER b_after AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER c_statement AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON t FOR EACH STATEMENT EXECUTE FUNCTION tell();
INSERT INTO t VALUES (1, 'a', 1.50, '{"big": 12345678901234567890, "n": null}');
UPDATE t SET v = 'b';
DELETE FROM t;
TRUNCATE t;
DROP TRIGGER a_before ON t; DROP TRIGGER b_after ON t; DROP TRIGGER c_statement ON t;
-- What is returned decides; values that were not touched stay as they are.
CREATE FUNCTION decide() RETURNS trigger LANGUAGE js AS $$
  if (NEW.v === "skip") return null;
  if (NEW.v === "forget") return;
  if (NEW.v === "misspell") return {...NEW, vv: 1};
  if (NEW.v === "number") return 1;
  if (NEW.v === "old") return OLD;
  NEW.v = `${NEW.v}, seen`;
  return NEW;
$$;
CREATE TRIGGER decide BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION decide();
INSERT INTO t VALUES (1, 'a', 1.500, '{"big": 12345678901234567890}'), (2, 'skip', 1, NULL), (3, NULL, 'NaN', 'null');
SELECT * FROM t ORDER BY id;
INSERT INTO t VALUES (4, 'forget');
INSERT INTO t VALUES (4, 'misspell');
INSERT INTO t VALUES (4, 'number');
UPDATE t SET v = 'old', n = 7 WHERE id = 1;
UPDATE t SET v = 'skip', n = 7 WHERE id = 1;
SELECT * FROM t ORDER BY id;
ALTER TABLE t DROP COLUMN n;
ALTER TABLE t ADD COLUMN added int DEFAULT 5;
INSERT INTO t (id, v) VALUES (5, 'altered');
SELECT * FROM t WHERE id = 5;
-- INSTEAD OF, and writes from a trigger.
CREATE VIEW w AS SELECT id, v FROM t;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE js AS $$
  sql`INSERT INTO js_triggers.t (id, v) VALUES (${NEW.id}, ${NEW.v})`;
  return NEW;
$$;
CREATE TRIGGER instead INSTEAD OF INSERT ON w FOR EACH ROW EXECUTE FUNCTION instead();
INSERT INTO w VALUES (6, 'by view');
SELECT id, v FROM t WHERE id = 6;
SELECT decide();
CREATE FUNCTION with_args(a int) RETURNS trigger LANGUAGE js AS $$ return NEW $$;
CREATE FUNCTION for_events() RETURNS event_trigger LANGUAGE js AS $$ $$;
-- Transition tables are read by their names; a plan belongs to its trigger.
CREATE TABLE moves (id int PRIMARY KEY, v text);
CREATE TABLE other_moves (n numeric, id bigint);
CREATE FUNCTION transitions() RETURNS trigger LANGUAGE js AS $$
  for (const name of TG_ARGV) {
    console.log(TG_OP, name, JSON.stringify(sql.query(`SELECT t::text FROM ${name} AS t WHERE id < $1 ORDER BY id`, [100])));
  }
$$;
CREATE FUNCTION not_a_trigger() RETURNS bigint LANGUAGE js AS $$ return sql`SELECT count(*) FROM added`[0].count $$;
CREATE TRIGGER i AFTER INSERT ON moves REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION transitions('added');
CREATE TRIGGER u AFTER UPDATE ON moves REFERENCING OLD TABLE AS before NEW TABLE AS after
  FOR EACH STATEMENT EXECUTE FUNCTION transitions('before', 'after');
CREATE TRIGGER d AFTER DELETE ON moves REFERENCING OLD TABLE AS gone FOR EACH ROW EXECUTE FUNCTION transitions('gone');
CREATE TRIGGER i AFTER INSERT ON other_moves REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION transitions('added');
INSERT INTO moves VALUES (1, 'a'), (2, 'b');
INSERT INTO other_moves VALUES (1.50, 9);
INSERT INTO moves VALUES (3, 'c');
UPDATE moves SET v = v || '!' WHERE id < 3;
DELETE FROM moves WHERE id < 3;
CREATE FUNCTION calls_another() RETURNS trigger LANGUAGE js AS $$ sql`SELECT js_triggers.not_a_trigger()` $$;
CREATE TRIGGER c AFTER INSERT ON moves REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION calls_another();
INSERT INTO moves VALUES (4, 'not seen by functions that it calls');
SET client_min_messages = warning;
DROP SCHEMA js_triggers CASCADE;
