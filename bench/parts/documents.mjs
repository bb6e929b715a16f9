// What reading and writing documents costs: `ctx.db` beside the same statements of PL/pgSQL, and beside the cost of
// npm's own layer; and how it grows with the size of a table.
import { readFile } from "node:fs/promises";
import pg from "pg";
import { cpuTime } from "../lib/cpu.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { inTurns, median, spread, summarize } from "../lib/stats.mjs";

const SIZES = {
  full: { rounds: 9, calls: 5, posts: 20_000, rows: 10_000_000, paged: 1_000_000, curve: [1_000, 100_000, 1_000_000] },
  quick: { rounds: 5, calls: 3, posts: 20_000, rows: 500_000, paged: 100_000, curve: [1_000, 100_000] },
};

const SMALL_ROWS = 10_000;
const ROWS_PER_TOPIC = 100;
/** Rows that one statement puts into the big table. */
const CHUNK = 100_000;
const PAGE = 1000;

const GETS = 500;
const TAKES = 20;
const INSERTS = 200;
const TOPICS_TAKEN = 20;
const INDEXED = 5000;

const SQL = new URL("documents.sql", import.meta.url);

async function connect(server) {
  const client = new pg.Client({ connectionString: server.env.DATABASE_URL });
  await client.connect();
  return client;
}

async function prepare(client, { posts }) {
  await client.query(
    `INSERT INTO posts (topic, author, title, body, score, pinned, tags)
     SELECT 'topic ' || n % 100, 'author ' || n % 37, 'Post number ' || n, repeat('two hundred character', 10), n,
            n % 50 = 0, jsonb_build_array('bench', 'tag ' || n % 7)
       FROM generate_series(1, $1::int) AS n`,
    [posts],
  );
  await client.query(await readFile(SQL, "utf8"));
  await fillNumbered(client, "small", SMALL_ROWS);
  await client.query("VACUUM ANALYZE");
}

/** Fills a table; the rows of a topic lie far apart. */
async function fillNumbered(client, table, rows) {
  for (let start = 0; start < rows; start += CHUNK) {
    await client.query(
      `INSERT INTO ${table} (topic, n) SELECT n % $3, n FROM generate_series($1::int, $2::int - 1) AS n`,
      [start, Math.min(start + CHUNK, rows), rows / ROWS_PER_TOPIC],
    );
  }
}

/** One statement: its time, that in which the backend had a core, and its answer. Milliseconds per operation. */
async function timed(client, { name, text, values, operations }, check) {
  const [started, cpu] = [performance.now(), await cpuTime(client.processID)];
  const { rows } = await client.query({ name, text, values });
  const took = performance.now() - started;
  const worked = (await cpuTime(client.processID)) - cpu;
  check(rows[0]?.answer);
  return { took: took / operations, worked: worked / operations };
}

const call = (kind, name, args, operations) => ({
  name,
  text: `SELECT live.${kind}('documents:${name}', $1::json) AS answer`,
  values: [JSON.stringify(args)],
  operations,
});

const isExactly = (what, right) => (answer) => {
  if (answer !== right) {
    throw new Error(`${what} answers ${JSON.stringify(answer)}, not ${JSON.stringify(right)}`);
  }
};

/** Fails unless there is a number: what is canned sums up something else. */
const isNumber = (what) => (answer) => {
  if (typeof answer !== "number") {
    throw new Error(`${what} answers ${JSON.stringify(answer)}`);
  }
};

/** So many of one statement, in one round. */
const arm = (client, calls, statement, check) => async () => {
  const samples = [];
  for (let n = 0; n < calls; n += 1) {
    samples.push(await timed(client, statement, check));
  }
  return samples;
};

/** Three arms per operation: ours, the same with canned answers (F), and PL/pgSQL's statement. */
async function comparisons(client, { calls }) {
  const { rows: posts } = await client.query("SELECT _id, score FROM posts ORDER BY hashtext(_id) LIMIT $1", [GETS]);
  const ids = posts.map(({ _id }) => _id);
  const sumOfGets = posts.reduce((sum, { score }) => sum + score, 0);
  const topics = Array.from({ length: TAKES }, (_, n) => `topic ${n * 3}`);
  const { rows: sums } = await client.query("SELECT bench.take($1) AS takes, bench.take($2) AS page", [topics, ["topic 7"]]);
  const [{ takes, page }] = sums;
  const of = (statement, check) => arm(client, calls, statement, check);
  const sql = (text, values, operations) => ({ name: text, text, values, operations });
  const live = (name, kind, args, operations, right) => ({
    ours: of(call(kind, name, { ...args, canned: false }, operations), isExactly(name, right)),
    canned: of(call(kind, name, { ...args, canned: true }, operations), isNumber(`canned ${name}`)),
  });
  return {
    get: {
      ...live("get", "query", { ids }, GETS, sumOfGets),
      sql: of(sql("SELECT bench.get($1) AS answer", [ids], GETS), isExactly("bench.get", sumOfGets)),
    },
    take: {
      ...live("take", "query", { topics }, TAKES, takes),
      sql: of(sql("SELECT bench.take($1) AS answer", [topics], TAKES), isExactly("bench.take", takes)),
    },
    // One per call, as a function has one at most; so a call that does nothing is taken off below.
    page: {
      ...live("page", "query", { topic: "topic 7" }, 1, page),
      nothing: of(call("query", "nothing", { topics: ["topic 7"] }, 1), isExactly("nothing", 0)),
      sql: of(sql("SELECT bench.take($1) AS answer", [["topic 7"]], 1), isExactly("bench.take", page)),
    },
    insert: {
      ...live("insert", "mutation", { count: INSERTS }, INSERTS, INSERTS),
      sql: of(sql("SELECT bench.insert($1) AS answer", [INSERTS], INSERTS), isExactly("bench.insert", INSERTS)),
    },
  };
}

const WORKED = ({ worked }) => worked;

/** Medians of the arms in each round, by what `value` takes from a sample. */
const rounds = (samples, value) =>
  samples.ours.map((_, round) =>
    Object.fromEntries(Object.entries(samples).map(([name, byRound]) => [name, median(byRound[round].map(value))])),
  );

const TARGETS = {
  get: { label: "`get`", target: 2, times: ({ ours, canned, sql }) => (ours - canned) / sql },
  take: { label: "`withIndex().take(100)`", target: 1.5, times: ({ ours, canned, sql }) => (ours - canned) / sql },
  page: { label: "`paginate(100)`", target: 3, times: ({ ours, nothing, sql }) => (ours - nothing) / sql },
  insert: { label: "`insert`", target: 1.5, times: ({ ours, canned, sql }) => (ours - canned) / sql },
};

async function measureOperations(client, size, say) {
  const figures = {};
  for (const [name, arms] of Object.entries(await comparisons(client, size))) {
    say(`documents: ${name}`);
    await inTurns(arms, 1);
    const samples = await inTurns(arms, size.rounds);
    const byRound = rounds(samples, WORKED);
    figures[name] = {
      arms: Object.fromEntries(
        Object.entries(samples).map(([each, all]) => [
          each,
          { worked: summarize(all.flat().map(WORKED)), took: summarize(all.flat().map(({ took }) => took)) },
        ]),
      ),
      times: spread(byRound.map(TARGETS[name].times)),
      timesOverF: spread(byRound.map(({ ours, canned, sql }) => (ours - canned) / sql)),
      timesByClock: spread(rounds(samples, ({ took }) => took).map(TARGETS[name].times)),
      wholeTimes: spread(byRound.map(({ ours, sql }) => ours / sql)),
    };
  }
  return figures;
}

/** An arm of `take(50)` of the same number of topics, from a table of so many rows. */
function takeFrom(client, calls, table, total) {
  const topics = Array.from({ length: TOPICS_TAKEN }, (_, n) => Math.floor((n * total) / ROWS_PER_TOPIC / TOPICS_TAKEN));
  const step = total / ROWS_PER_TOPIC;
  const sum = topics.reduce((all, topic) => all + 50 * topic + step * ((49 * 50) / 2), 0);
  return arm(client, calls, call("query", "takeOf", { table, topics }, TOPICS_TAKEN), (answer) => {
    isExactly(`take(50) of ${table}`, 50 * TOPICS_TAKEN)(answer?.count);
    isExactly(`the sum of ${table}`, sum)(answer.sum);
  });
}

/** `take(50)` from tables of more and more rows, one after the other: rows, and microseconds of the backend per `take`. */
async function measureCurve(client, { rounds: count, calls, rows, curve }, growth) {
  const points = [[SMALL_ROWS, growth.small * 1000], [rows, growth.big * 1000]];
  for (const total of curve) {
    await client.query("TRUNCATE small");
    await fillNumbered(client, "small", total);
    await client.query("VACUUM ANALYZE small");
    const arms = { ours: takeFrom(client, calls, "small", total) };
    await inTurns(arms, 1);
    const { ours } = await inTurns(arms, count);
    const { p50, min, max } = summarize(ours.map((round) => median(round.map(WORKED)) * 1000));
    points.push([total, p50, min, max]);
  }
  return points.toSorted(([a], [b]) => a - b);
}

/** `take(50)` from a small table and from a big one. */
async function measureGrowth(client, { rounds: count, calls, rows }) {
  const arms = { ours: takeFrom(client, calls, "big", rows), small: takeFrom(client, calls, "small", SMALL_ROWS) };
  await inTurns(arms, 1);
  const samples = await inTurns(arms, count);
  const middle = (name) => median(samples[name].flat().map(WORKED));
  return { big: middle("ours"), small: middle("small"), times: spread(rounds(samples, WORKED).map(({ ours, small }) => ours / small)) };
}

/** Walks through the big table page by page. Milliseconds per page, first to last. */
async function walk(client, { paged }) {
  const pages = [];
  let [cursor, count, sum] = [null, 0, 0];
  while (count < paged) {
    const statement = call("query", "pageOfBig", { cursor, numItems: PAGE }, 1);
    const { worked } = await timed(client, statement, (answer) => {
      count += answer.count;
      sum += answer.sum;
      cursor = answer.continueCursor;
    });
    pages.push(worked);
  }
  isExactly("the sum of all pages", ((paged - 1) * paged) / 2)(sum);
  return pages;
}

/** The pages of the last tenth beside those of the first. */
async function measureWalk(client, size) {
  const [first, last, times] = [[], [], []];
  for (let round = 0; round < (size.rounds > 5 ? 3 : 2); round += 1) {
    const pages = await walk(client, size);
    const tenth = Math.floor(pages.length / 10);
    first.push(median(pages.slice(0, tenth)));
    last.push(median(pages.slice(-tenth)));
    times.push(last.at(-1) / first.at(-1));
  }
  return { first: median(first), last: median(last), times: spread(times) };
}

/** What an index adds to an INSERT of 5,000 rows: through `index_key_v1`, and a native one. */
async function measureIndex(client, { rounds: count, calls }) {
  const into = (table) =>
    arm(client, calls, { name: table, text: `SELECT bench.fill_${table}() AS answer`, values: [], operations: INDEXED }, isExactly(table, INDEXED));
  const arms = { ours: into("index_key"), native: into("index_native"), none: into("index_none") };
  await inTurns(arms, 1);
  const samples = await inTurns(arms, count);
  const middle = (name) => median(samples[name].flat().map(WORKED));
  return {
    key: middle("ours"),
    native: middle("native"),
    none: middle("none"),
    times: spread(rounds(samples, WORKED).map(({ ours, native, none }) => (ours - none) / (native - none))),
  };
}

const micros = (ms) => figure(ms * 1000);
const verdict = (times, target) => (times.median <= target ? "met" : "**missed**");

function operationsTable(figures, { rounds: count, calls }) {
  const rows = Object.entries(figures).map(([name, { arms, times, timesOverF, timesByClock, wholeTimes }]) => [
    TARGETS[name].label,
    micros(arms.ours.worked.p50),
    micros(arms.canned.worked.p50),
    micros(arms.sql.worked.p50),
    ratio(timesOverF),
    ratio(times),
    `at most ${TARGETS[name].target}`,
    verdict(times, TARGETS[name].target),
    ratio(timesByClock),
    ratio(wholeTimes),
  ]);
  return {
    title: "Operations of `ctx.db`",
    columns: ["µs of the backend's core", "pg_live", "F", "SQL", "(pg_live - F) / SQL", "for the target", "target", "", "by the clock", "pg_live / SQL"],
    rows,
    note:
      `Per operation: ${GETS} \`get\`, ${TAKES} \`take\` or ${INSERTS} \`insert\` in a call, one \`paginate\` in a call. F: the same calls answered ` +
      "by strings in the host. The target of `paginate` leaves nothing for npm's layer, so a call that does nothing " +
      `(${micros(figures.page.arms.nothing.worked.p50)}) is taken off there, not F. SQL: ` +
      "the prepared statement in PL/pgSQL, rows as JSON, by a native index; the INSERT into the same table. " +
      `${count} rounds in turns of ${calls} calls.`,
  };
}

function growthTable({ growth, walked, index }, { rows, paged }) {
  const lines = [
    [`\`take(50)\` from ${rows.toLocaleString("en")} rows / from ${SMALL_ROWS.toLocaleString("en")}`, growth.big, growth.small, growth.times, 1.2],
    [`a page of 1,000 in the last tenth / in the first, of ${paged.toLocaleString("en")} rows`, walked.last, walked.first, walked.times, 1.2],
    ["an index's share of an INSERT, per row: `index_key_v1` / native columns", index.key - index.none, index.native - index.none, index.times, 1.5],
  ];
  return {
    title: "Growth, and indexes",
    columns: ["µs of the backend's core", "a", "b", "a / b", "target", ""],
    rows: lines.map(([label, a, b, times, target]) => [label, micros(a), micros(b), ratio(times), `at most ${target}`, verdict(times, target)]),
    note: "Everything in memory. The walk is right if the sum of all pages is that of the table.",
  };
}

/** Measures all of it with one server. */
export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  const client = await connect(server);
  try {
    await prepare(client, size);
    const operations = await measureOperations(client, size, say);
    say("documents: an index");
    const index = await measureIndex(client, size);
    say(`documents: a table of ${size.rows.toLocaleString("en")} rows`);
    await fillNumbered(client, "big", size.rows);
    await client.query("VACUUM ANALYZE big");
    const growth = await measureGrowth(client, size);
    say("documents: a walk through it");
    const walked = await measureWalk(client, size);
    say("documents: tables of other sizes");
    const curve = await measureCurve(client, size, growth);
    return {
      figures: { operations, growth, walked, index, curve },
      plots: [{
        title: "take(50) by the size of the table",
        x: { label: "rows" },
        y: { label: "µs of the backend's core" },
        series: [{ name: "withIndex().take(50)", points: curve }],
      }],
      tables: [operationsTable(operations, size), growthTable({ growth, walked, index }, size)],
    };
  } finally {
    await client.end();
  }
}
