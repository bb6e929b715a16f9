// What functions of LANGUAGE js cost beside PL/pgSQL's: an empty one and one read by primary key, called row by row in one
// statement and statement by statement.
import { rm } from "node:fs/promises";
import pg from "pg";
import { figure, ratio } from "../lib/format.mjs";
import { installPython, packagesForServer, pythonFunctions } from "../lib/python.mjs";
import { inTurns, ratioOfRounds, summarize } from "../lib/stats.mjs";

/** Calls in one statement, and statements of one call each, per round. The peer in Python is slower. */
const SIZES = {
  full: { rounds: 7, calls: 50_000, statements: 500, callsOfPeer: 2_000 },
  quick: { rounds: 3, calls: 10_000, statements: 100, callsOfPeer: 500 },
};
const ROWS = 1000;

const SETUP = `
  CREATE SCHEMA language_js;
  CREATE TABLE language_js.item (id int PRIMARY KEY, value int NOT NULL);
  INSERT INTO language_js.item SELECT i, i * 2 FROM generate_series(1, ${ROWS}) i;
  ANALYZE language_js.item;
  CREATE FUNCTION language_js.js_empty(i int) RETURNS int LANGUAGE js AS 'return i';
  CREATE FUNCTION language_js.pg_empty(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN i; END';
  CREATE FUNCTION language_js.js_read(i int) RETURNS int STABLE LANGUAGE js AS
    'return sql\`SELECT value FROM language_js.item WHERE id = \${i}\`[0].value';
  CREATE FUNCTION language_js.pg_read(i int) RETURNS int STABLE LANGUAGE plpgsql AS
    'DECLARE found int; BEGIN SELECT value INTO found FROM language_js.item WHERE id = i; RETURN found; END';`;

const LABELS = {
  pg_empty: "PL/pgSQL, empty",
  js_empty: "LANGUAGE js, empty",
  pg_read: "PL/pgSQL, one row by primary key",
  js_read: "LANGUAGE js, one row by primary key",
  plpython_empty: "PL/Python, empty",
  py_empty: "PL/Python with mini-racer, empty",
};

const PEER = { js_empty: "pg_empty", js_read: "pg_read", plpython_empty: "pg_empty", py_empty: "pg_empty" };

/** Microseconds per call, many calls in one statement. */
async function inOneStatement(client, name, size) {
  const calls = name === "py_empty" ? size.callsOfPeer : size.calls;
  const started = performance.now();
  await client.query(`SELECT count(language_js.${name}(i % ${ROWS} + 1)) FROM generate_series(1, ${calls}) i`);
  return [((performance.now() - started) * 1000) / calls];
}

/** Microseconds of statements with one call each. */
async function byStatement(client, name, { statements }) {
  const samples = [];
  for (let i = 1; i <= statements; i += 1) {
    const started = performance.now();
    await client.query({ name, text: `SELECT language_js.${name}($1)`, values: [i] });
    samples.push((performance.now() - started) * 1000);
  }
  return samples;
}

async function measureWay(client, names, measureOne, size) {
  for (const name of names) await measureOne(client, name, size);
  const arms = Object.fromEntries(names.map((name) => [name, () => measureOne(client, name, size)]));
  const rounds = await inTurns(arms, size.rounds);
  return Object.fromEntries(
    Object.entries(rounds).map(([name, samples]) => [
      name,
      {
        ...summarize(samples.flat()),
        ...(name in PEER ? { timesPlpgsql: ratioOfRounds(samples, rounds[PEER[name]]) } : {}),
      },
    ]),
  );
}

function timeTable(title, summaries, note) {
  const rows = Object.entries(summaries).map(([name, { p50, timesPlpgsql }]) => [
    LABELS[name],
    figure(p50),
    timesPlpgsql === undefined ? "" : ratio(timesPlpgsql),
  ]);
  return { title, columns: ["µs", "p50", "times PL/pgSQL"], rows, note };
}

/** What fails is told when it is measured. */
export const prepare = () => installPython().catch(() => {});

/** Measures all of it with one server. */
export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  const client = new pg.Client({ connectionString: server.env.PG_LIVE_ADMIN_URL });
  await client.connect();
  await client.query(SETUP);
  let names = Object.keys(LABELS);
  let packages;
  try {
    packages = await packagesForServer();
    await client.query(pythonFunctions("language_js", packages));
    await client.query("SELECT language_js.py_empty(1)");
  } catch (error) {
    say(`language-js: without PL/Python and mini-racer: ${error.message}`);
    names = names.filter((name) => !name.includes("py"));
  }
  say("language-js: calls in one statement");
  const scans = await measureWay(client, names, inOneStatement, size);
  say("language-js: a statement per call");
  const statements = await measureWay(client, names, byStatement, size);
  await client.end();
  if (packages !== undefined) {
    await rm(packages, { recursive: true });
  }
  const rounds = `${size.rounds} rounds in turns, on one connection`;
  const timesFaster = (summaries) => (names.includes("py_empty") ? summaries.py_empty.p50 / summaries.js_empty.p50 : undefined);
  return {
    figures: { scans, statements, fasterThanMiniRacer: timesFaster(scans) },
    tables: [
      timeTable("LANGUAGE js: a call among many of one statement", scans, `${size.calls} calls per round, ${rounds}.`),
      timeTable("LANGUAGE js: a prepared statement of one call, seen by the client", statements,
        `${size.statements} statements per round, ${rounds}.`),
    ],
  };
}
