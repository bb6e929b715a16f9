// What a query function costs in the backend: per call, at the first call, in memory. Beside it PL/pgSQL,
// which Postgres has anyway.
import { readFile } from "node:fs/promises";
import pg from "pg";
import { cpuTime } from "../lib/cpu.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { inTurns, median, ratioOfRounds, summarize } from "../lib/stats.mjs";

const SIZES = {
  full: { rounds: 7, freshBackends: 20, memoryBackends: 5 },
  quick: { rounds: 5, freshBackends: 5, memoryBackends: 1 },
};
const DOCUMENTS = 1000;
/** Statements per round, each one call. */
const STATEMENTS = 300;
/** Statements per round that each call the function for all documents. */
const SCANS = 2;
/** Prime, so that calls visit the documents in a fixed order without neighbours. */
const STRIDE = 379;

const FUNCTIONS = `
  CREATE SCHEMA bench;
  CREATE FUNCTION bench.empty(args json) RETURNS json LANGUAGE plpgsql STABLE AS $$
  BEGIN
      RETURN 'null'::json;
  END $$;
  CREATE FUNCTION bench.get(args json) RETURNS json LANGUAGE plpgsql STABLE AS $$
  DECLARE
      found json;
  BEGIN
      SELECT row_to_json(d) INTO found FROM public.documents d WHERE d._id = args ->> 'id';
      RETURN found;
  END $$;`;

/** The SQL of a call, by arm; `$1` stands for the arguments. */
const CALLS = {
  floor: "$1::json",
  plpgsqlEmpty: "bench.empty($1::json)",
  liveEmpty: "live.query('host:empty', $1::json)",
  plpgsqlGet: "bench.get($1::json)",
  liveGet: "live.query('host:get', $1::json)",
};

const LABELS = {
  floor: "floor: no call",
  plpgsqlEmpty: "PL/pgSQL, empty",
  liveEmpty: "pg_live, empty",
  plpgsqlGet: "PL/pgSQL, one row by primary key",
  liveGet: "pg_live, one `db.get`",
};

const isGet = (name) => name.endsWith("Get");

async function connect(server) {
  const client = new pg.Client({ connectionString: server.env.DATABASE_URL });
  await client.connect();
  return client;
}

/** Makes the documents and PL/pgSQL's functions; resolves to the documents. */
async function prepare(client) {
  await client.query(FUNCTIONS);
  await client.query(
    "INSERT INTO documents (name, value) SELECT 'document ' || n, n FROM generate_series(1, $1::int) AS n",
    [DOCUMENTS],
  );
  await client.query("VACUUM ANALYZE documents");
  const { rows } = await client.query("SELECT _id, name, value FROM documents ORDER BY value");
  return rows;
}

const argumentsFor = (name, document) => (isGet(name) ? JSON.stringify({ id: document._id }) : "{}");

/** Fails unless the answer of a call is right: a wrong one is worth nothing, however quick. */
function checkAnswer(name, document, answer) {
  const right = isGet(name)
    ? answer?._id === document._id && answer.name === document.name && answer.value === document.value
    : name === "floor" || answer === null;
  if (!right) {
    throw new Error(`${LABELS[name]} answers ${JSON.stringify(answer)} for ${JSON.stringify(document)}`);
  }
}

/** One call in a statement of its own, as an application makes it; milliseconds. */
async function timeStatement(client, name, document) {
  const statement = { name, text: `SELECT ${CALLS[name]} AS answer`, values: [argumentsFor(name, document)] };
  const started = performance.now();
  const { rows } = await client.query(statement);
  const took = performance.now() - started;
  checkAnswer(name, document, rows[0].answer);
  return took;
}

/**
 * Calls for all documents in one statement: without the way to the server. Milliseconds per call, and those in
 * which the backend had a core, whatever else the machine did.
 */
async function timeScan(client, name, documents) {
  const args = isGet(name) ? "json_build_object('id', _id)" : "'{}'::json";
  const call = CALLS[name].replace("$1::json", args);
  const text = isGet(name)
    ? `SELECT sum((answer ->> 'value')::float8) AS outcome FROM (SELECT ${call} AS answer FROM documents OFFSET 0) AS calls`
    : `SELECT count(answer::text) AS outcome FROM (SELECT ${call} AS answer FROM documents OFFSET 0) AS calls`;
  const [started, cpu] = [performance.now(), await cpuTime(client.processID)];
  const { rows } = await client.query(text);
  const took = performance.now() - started;
  const worked = (await cpuTime(client.processID)) - cpu;
  const right = isGet(name) ? documents.reduce((sum, { value }) => sum + value, 0) : documents.length;
  if (Number(rows[0].outcome) !== right) {
    throw new Error(`${LABELS[name]}: ${rows[0].outcome} for all documents, not ${right}`);
  }
  return { took: took / documents.length, worked: worked / documents.length };
}

const series = async (count, measure) => {
  const samples = [];
  for (let n = 0; n < count; n += 1) {
    samples.push(await measure(n));
  }
  return samples;
};

const armsOf = (make) => Object.fromEntries(Object.keys(CALLS).map((name) => [name, make(name)]));

async function measureWarm(client, documents, { rounds }) {
  const statements = armsOf((name) => (round) =>
    series(STATEMENTS, (n) => timeStatement(client, name, documents[((round * STATEMENTS + n) * STRIDE) % DOCUMENTS])),
  );
  const scans = armsOf((name) => () => series(SCANS, () => timeScan(client, name, documents)));
  await inTurns(statements, 1);
  await inTurns(scans, 1);
  return { statements: await inTurns(statements, rounds), scans: await inTurns(scans, rounds) };
}

/** The first statement of a backend, from sending it on an open connection. */
async function measureFirstCalls(server, documents, { freshBackends }) {
  const arms = armsOf((name) => async (round) => {
    const client = await connect(server);
    const took = await timeStatement(client, name, documents[round]);
    await client.end();
    return [took];
  });
  await inTurns(arms, 1);
  return await inTurns(arms, freshBackends);
}

/** Memory of a process that no other shares, in KiB. */
async function privateDirty(pid) {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Private_Dirty:\s+(\d+) kB$/m.exec(text)[1]);
}

/** Private memory of fresh backends after their first call and after a thousand, in KiB. */
async function measureMemory(server, documents, { memoryBackends }) {
  const arms = armsOf((name) => async () => {
    const client = await connect(server);
    await timeStatement(client, name, documents[0]);
    const first = await privateDirty(client.processID);
    await series(DOCUMENTS, (n) => timeStatement(client, name, documents[n]));
    const thousand = await privateDirty(client.processID);
    await client.end();
    return [{ first, thousand }];
  });
  const samples = await inTurns(arms, memoryBackends);
  const middle = (name, when) => median(samples[name].flat().map((sample) => sample[when]));
  return armsOf((name) => ({ first: middle(name, "first"), thousand: middle(name, "thousand") }));
}

/** PL/pgSQL's arm that does the same. */
const PEER = { liveEmpty: "plpgsqlEmpty", liveGet: "plpgsqlGet" };

/** Summaries by arm; `value` takes the number from a sample. */
function summarizeRounds(samples, value = (sample) => sample) {
  const rounds = armsOf((name) => samples[name].map((round) => round.map(value)));
  return armsOf((name) => ({
    ...summarize(rounds[name].flat()),
    ...(name in PEER ? { timesPlpgsql: ratioOfRounds(rounds[name], rounds[PEER[name]]) } : {}),
  }));
}

function timeTable(title, unit, scale, summaries, note) {
  const rows = Object.entries(summaries).map(([name, { p50, p99, timesPlpgsql }]) => [
    LABELS[name],
    figure(p50 * scale),
    figure(p99 * scale),
    timesPlpgsql === undefined ? "" : ratio(timesPlpgsql),
  ]);
  return { title, columns: [unit, "p50", "p99", "times PL/pgSQL"], rows, note };
}

function memoryTable(memory, { memoryBackends }) {
  const mib = (kib) => figure(kib / 1024);
  const rows = Object.entries(memory).map(([name, { first, thousand }]) => [
    LABELS[name],
    mib(first),
    mib(thousand),
    name in PEER ? mib(first - memory[PEER[name]].first) : "",
    name in PEER ? mib(thousand - memory[PEER[name]].thousand) : "",
  ]);
  return {
    title: "Private memory of a fresh backend",
    columns: ["MiB", "after the first call", "after 1,001 calls", "V8 adds at first", "V8 adds after 1,001"],
    rows,
    note:
      `Private_Dirty of the backend's process, median of ${memoryBackends}; V8 adds: what is more than PL/pgSQL ` +
      "doing the same.",
  };
}

/** Measures all of it with one server. */
export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  const client = await connect(server);
  const documents = await prepare(client);
  say("host: warm calls");
  const warm = await measureWarm(client, documents, size);
  await client.end();
  say("host: first calls");
  const first = summarizeRounds(await measureFirstCalls(server, documents, size));
  say("host: memory");
  const memory = await measureMemory(server, documents, size);
  const statements = summarizeRounds(warm.statements);
  const scans = summarizeRounds(warm.scans, ({ took }) => took);
  const scansCpu = summarizeRounds(warm.scans, ({ worked }) => worked);
  const rounds = `${size.rounds} rounds in turns, on one connection`;
  return {
    figures: { statements, scans, scansCpu, first, memory },
    tables: [
      timeTable("A warm call in a statement of its own, seen by the client", "µs", 1000, statements,
        `${size.rounds * STATEMENTS} prepared statements each, ${rounds}.`),
      timeTable("A warm call among a thousand of one statement", "µs per call", 1000, scans,
        `${size.rounds * SCANS} statements of ${DOCUMENTS} calls each, ${rounds}; percentiles of the statements' means.`),
      timeTable("The same, time in which the backend had a core", "µs per call", 1000, scansCpu,
        "By /proc/<pid>/schedstat: what else the machine does hardly matters here."),
      timeTable("The first statement of a fresh backend", "ms", 1, first,
        `${size.freshBackends} backends each, in turns, from sending the statement on an open connection.`),
      memoryTable(memory, size),
    ],
  };
}
