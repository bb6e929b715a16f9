// What a call costs by the context that it runs in: one that is made in the call, one that was made since the
// last statement, one that serves many calls because the module asks for it or was found to keep nothing. And how soon a function that does not end is stopped.
import pg from "pg";
import { figure, ratio } from "../lib/format.mjs";
import { inTurns, median, ratioOfRounds, summarize } from "../lib/stats.mjs";

const SIZES = { full: { rounds: 7, cancels: 1000 }, quick: { rounds: 5, cancels: 100 } };
/** Statements per round and arm. */
const STATEMENTS = 150;
/** Time between two statements of an application that thinks, in milliseconds. */
const PAUSE_MS = 5;
/** How long a function that does not end runs before it is cancelled, in milliseconds. */
const RUN_MS = 15;
const QUERY_CANCELED = "57014";

const ARMS = {
  plpgsql: { label: "PL/pgSQL, one statement after the other", call: "bench.nothing($1::json)", pause: 0 },
  made: { label: "pg_live, one statement after the other", call: "live.query('host:empty', $1::json)", pause: 0 },
  reused: { label: "pg_live, context reused", call: "live.query('reused:empty', $1::json)", pause: 0 },
  guarded: { label: "pg_live, context shared: the module keeps nothing", call: "live.query('host:empty', $1::json)", pause: 0, share: true },
  plpgsqlPaused: { label: `PL/pgSQL, ${PAUSE_MS} ms between statements`, call: "bench.nothing($1::json)", pause: PAUSE_MS },
  ahead: {
    label: `pg_live, ${PAUSE_MS} ms between statements`,
    call: "live.query('host:empty', $1::json)",
    pause: PAUSE_MS,
  },
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A connection on which queries share contexts, or not; and none is run twice to compare. */
async function connect(server, share = false) {
  const client = new pg.Client({ connectionString: server.env.DATABASE_URL });
  await client.connect();
  await client.query(`SET pg_live.share_contexts = ${share ? "on" : "off"}; SET pg_live.recheck_calls = 0`);
  return client;
}

/** Milliseconds that each of a round's statements took. */
async function timeStatements(client, name) {
  const { call, pause } = ARMS[name];
  const statement = { name, text: `SELECT ${call} AS answer`, values: ["{}"] };
  const samples = [];
  for (let n = 0; n < STATEMENTS; n += 1) {
    if (pause > 0) {
      await sleep(pause);
    }
    const started = performance.now();
    const { rows } = await client.query(statement);
    samples.push(performance.now() - started);
    if (rows[0].answer !== null) {
      throw new Error(`${ARMS[name].label} answers ${JSON.stringify(rows[0].answer)}`);
    }
  }
  return samples;
}

/** Milliseconds from asking for the cancel to the error, in a backend that goes on. */
async function timeCancels(server, count) {
  const [runner, canceller] = [await connect(server), await connect(server)];
  const samples = [];
  for (let n = 0; n < count; n += 1) {
    const ended = runner.query("SELECT live.query('host:forever')").then(
      () => undefined,
      ({ code }) => code,
    );
    await sleep(RUN_MS);
    const started = performance.now();
    await canceller.query("SELECT pg_cancel_backend($1)", [runner.processID]);
    const code = await ended;
    samples.push(performance.now() - started);
    if (code !== QUERY_CANCELED) {
      throw new Error(`a cancelled function ended with ${code}`);
    }
  }
  await Promise.all([runner.end(), canceller.end()]);
  return summarize(samples);
}

/** Measures all of it with one server. */
export async function measure({ server, say, quick }) {
  const { rounds, cancels } = quick ? SIZES.quick : SIZES.full;
  const client = await connect(server);
  const sharing = await connect(server, true);
  await client.query(
    "CREATE SCHEMA bench; CREATE FUNCTION bench.nothing(args json) RETURNS json LANGUAGE plpgsql STABLE AS " +
      "$$ BEGIN RETURN 'null'::json; END $$;",
  );
  say("contexts: statements");
  const arms = Object.fromEntries(Object.keys(ARMS).map((name) => [name, () => timeStatements(ARMS[name].share ? sharing : client, name)]));
  await inTurns(arms, 1);
  const samples = await inTurns(arms, rounds);
  await Promise.all([client.end(), sharing.end()]);
  say("contexts: cancels");
  const cancel = await timeCancels(server, cancels);
  const net = (name, peer) => samples[name].map((round, n) => round.map((took) => took - median(samples[peer][n])));
  const cost = { made: net("made", "plpgsql"), reused: net("reused", "plpgsql"), guarded: net("guarded", "plpgsql"), ahead: net("ahead", "plpgsqlPaused") };
  const times = {
    reused: ratioOfRounds(cost.reused, cost.made),
    guarded: ratioOfRounds(cost.guarded, cost.made),
    ahead: ratioOfRounds(cost.ahead, cost.made),
  };
  const rows = Object.entries(ARMS).map(([name, { label }]) => {
    const { p50, p99 } = summarize(samples[name].flat());
    return [label, figure(p50 * 1000), figure(p99 * 1000), name in times ? ratio(times[name]) : ""];
  });
  return {
    figures: { samples: Object.fromEntries(Object.entries(samples).map(([name, of]) => [name, summarize(of.flat())])), times, cancel },
    tables: [
      {
        title: "An empty function by the context that it runs in",
        columns: ["µs", "p50", "p99", "times a context made in the call"],
        rows,
        note: `${rounds * STATEMENTS} prepared statements each, in turns; the ratio is of what remains after PL/pgSQL doing the same.`,
      },
      {
        title: "Cancel of a function that does not end",
        columns: ["ms", "p50", "p99", "max"],
        rows: [["from pg_cancel_backend to the error", figure(cancel.p50), figure(cancel.p99), figure(cancel.max)]],
        note: `${cancels} cancels of one backend.`,
      },
    ],
  };
}
