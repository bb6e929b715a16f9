// What capture costs writers: the same statements against tables with capture and without, in turns, in one server.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { figure, ratio } from "../lib/format.mjs";
import { inTurns, median, spread } from "../lib/stats.mjs";


const WRITERS = 2;
const OTHER_TABLES = 100;
const KEYED_ROWS = 10_000;
const OWNER = 4711;
/** Of the range queries; no writer of the bench writes such a topic. */
const OTHER_TOPIC = "not written";

/** What a side does with its tables. The ratios are of each other side to `none`. */
const SIDES = {
  none: () => [],
  trigger: (table) => [`SELECT live.capture_table('${table}')`],
  wal: (table) => [`SELECT live.set_capture('${table}', 'wal')`, `SELECT live.capture_table('${table}')`],
};

/** Kinds of tables: how one is made, and the statements of writers by name; `%s` is the table. */
const KINDS = {
  "without index": {
    make: ["CREATE TABLE %s (k int, body text)"],
    statements: { insert: "INSERT INTO %s VALUES (1, 'a short text of a row')" },
  },
  "with two indexes": {
    make: [
      "CREATE TABLE %s (id bigserial PRIMARY KEY, k int, body text)",
      "CREATE INDEX ON %s (k)",
      `INSERT INTO %s (k, body) SELECT n, 'a short text of a row' FROM generate_series(1, ${KEYED_ROWS}) AS n`,
    ],
    statements: {
      insert: "INSERT INTO %s (k, body) VALUES (1, 'a short text of a row')",
      update: `\\set id random(1, ${KEYED_ROWS})\nUPDATE %s SET body = 'another text of ' || :id WHERE id = :id`,
    },
  },
  documents: {
    make: ["CREATE TABLE %s (LIKE entries INCLUDING ALL)"],
    /** The sides with capture are the app's own table, in turns: only that is a table of documents. */
    own: { trigger: "entries", wal: "entries" },
    statements: { insert: "INSERT INTO %s (topic, n, body) VALUES ('a topic', 1, 'a short text of a row')" },
  },
};

/** The short form leaves out some kinds, and what a live query elsewhere costs. */
const SIZES = {
  full: { rounds: 11, seconds: 1, bulkRows: 100_000, liveQueries: 10_000, kinds: Object.keys(KINDS) },
  quick: { rounds: 3, seconds: 1, bulkRows: 100_000, liveQueries: 2_000, kinds: ["with two indexes"] },
};

const fill = (text, table) => text.replaceAll("%s", table);

class Bench {
  #names = new Map();
  #folder;

  constructor(server, size, say) {
    Object.assign(this, { size, say, url: server.env.PG_LIVE_ADMIN_URL });
    this.written = new Map();
    this.figures = {};
  }

  async open() {
    this.#folder = await mkdtemp(join(tmpdir(), "pg-live-bench-"));
    this.client = new pg.Client({ connectionString: this.url });
    await this.client.connect();
    await this.client.query("SELECT live.prepare_connection()");
    await this.#attach();
  }

  async close() {
    await this.client?.end();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #attach() {
    for (let tries = 0; tries < 500; tries += 1) {
      const { rows } = await this.client.query(`SELECT live.attach(${OWNER}) AS boot`);
      if (rows[0].boot > 0) {
        this.boot = rows[0].boot;
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error("the worker does not come up");
  }

  /** The table of a kind for a side; made at its first use. */
  async table(kind, side) {
    const key = `${kind}, ${side}`;
    if (!this.#names.has(key)) {
      const own = KINDS[kind].own?.[side];
      const name = own ?? `bench_${this.#names.size}`;
      const made = own === undefined ? KINDS[kind].make.map((text) => fill(text, name)) : [];
      for (const statement of [...made, ...(own === undefined ? SIDES[side](name) : []), `VACUUM ANALYZE ${name}`]) {
        await this.client.query(statement);
      }
      this.#names.set(key, name);
    }
    return this.#names.get(key);
  }

  /** Has a table that both ways of capture use captured by one of them, and no decoder run beside the others. */
  async prepare(kind, side) {
    if (KINDS[kind].own === undefined) {
      return;
    }
    if (side === "none" || side === "trigger") {
      // What it has not decoded yet would count as a change of the whole table.
      await this.#workedOff();
      // Ended so it is not started again for ten seconds.
      await this.client.query("SELECT pg_terminate_backend((live.status()->'decoder'->>'pid')::int) FROM live.status() WHERE (live.status()->'decoder'->>'pid')::int > 0");
    }
    const own = KINDS[kind].own[side];
    if (own === undefined) {
      return;
    }
    await this.client.query("SELECT live.set_capture($1::regclass, $2)", [own, side]);
    for (let tries = 0; side === "wal" && tries < 1200; tries += 1) {
      const { rows } = await this.client.query("SELECT live.status()->'decoder' AS decoder");
      if (!rows[0].decoder.wanted || rows[0].decoder.state === "decoding") {
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Waits until the worker has matched all commits so far. */
  async #workedOff() {
    for (let tries = 0; tries < 1500; tries += 1) {
      const { rows } = await this.client.query("SELECT live.status() AS status");
      const { log, unresolved } = rows[0].status;
      if (log.lag_bytes === 0 && unresolved === 0) {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error("the worker does not come to the end of the log");
  }

  /** One row, and until the worker knows of it. */
  async writeOnce(kind, side) {
    const table = await this.table(kind, side);
    await this.client.query(fill(KINDS[kind].statements.insert, table));
    this.written.set(table, (this.written.get(table) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }

  /** Transactions per second of `WRITERS` connections that do nothing else. */
  async throughput(table, statement, commit) {
    const script = join(this.#folder, "script.sql");
    await writeFile(script, `${fill(statement, table)};\n`);
    const args = ["-n", "-M", "prepared", "-c", WRITERS, "-j", 1, "-T", this.size.seconds, "-f", script, this.url];
    const { stdout } = await promisify(execFile)("pgbench", args.map(String), {
      env: { ...process.env, PGOPTIONS: `-c synchronous_commit=${commit}` },
    });
    const done = Number(/actually processed: (\d+)/.exec(stdout)?.[1]);
    const failed = Number(/failed transactions: (\d+)/.exec(stdout)?.[1]);
    const tps = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]);
    if (!(tps > 0) || failed !== 0) {
      throw new Error(`pgbench: ${stdout}`);
    }
    if (statement.startsWith("INSERT")) {
      this.written.set(table, (this.written.get(table) ?? 0) + done);
    }
    return [tps];
  }

  /** Milliseconds of one UPDATE of many rows. */
  async bulk(table) {
    const started = performance.now();
    const { rowCount } = await this.client.query(`UPDATE ${table} SET k = k + 1`);
    const took = performance.now() - started;
    if (rowCount !== this.size.bulkRows) {
      throw new Error(`${rowCount} rows were updated`);
    }
    await this.client.query(`VACUUM ${table}`);
    return [took];
  }

  /** Fails unless every row is there and a live query on a captured table is told of the next write. The last step:
   * tables count as watched for a while after it. */
  async check() {
    for (const [key, table] of this.#names) {
      const [kind, side] = key.split(", ");
      const { rows } = await this.client.query(`SELECT count(*)::int AS rows FROM ${table}`);
      const expected = (this.written.get(table) ?? 0) + (kind === "with two indexes" ? KEYED_ROWS : 0);
      if (rows[0].rows !== expected) {
        throw new Error(`${table} has ${rows[0].rows} rows, not ${expected}`);
      }
      if (side !== "none") {
        await this.#isTold(table, KINDS[kind].statements.insert);
      }
    }
  }

  async #isTold(table, statement) {
    const sub = 1_000_000;
    await this.client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const watch = `SELECT registered FROM live.watch(${OWNER}, ${sub}, 1, ARRAY['${table}'::regclass])`;
    const { rows } = await this.client.query(watch);
    await this.client.query("COMMIT");
    if (!rows[0].registered) {
      throw new Error(`${table} cannot be watched`);
    }
    await this.client.query(fill(statement, table));
    this.written.set(table, (this.written.get(table) ?? 0) + 1);
    for (let tries = 0; tries < 500; tries += 1) {
      const { rows: told } = await this.client.query(
        `SELECT 1 FROM live.next(${OWNER}, ${this.boot}, 0) WHERE sub = ${sub}`,
      );
      if (told.length > 0) {
        await this.#attach(); // The batches of this owner count from 1 again.
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`a write of ${table} was not told`);
  }

  /** Live queries on other tables. */
  async watchOthers() {
    for (let n = 0; n < OTHER_TABLES; n += 1) {
      await this.client.query(`CREATE TABLE other_${n} (id int)`);
      await this.client.query(`SELECT live.capture_table('other_${n}')`);
    }
    await this.#register(
      `SELECT count(*) FILTER (WHERE registered)::int AS registered FROM generate_series(1, ${this.size.liveQueries}) AS sub,
          live.watch(${OWNER}, sub, 1, ARRAY[('other_' || sub % ${OTHER_TABLES})::regclass])`,
    );
  }

  /** Live queries on the table of documents that the writers write, each on a topic of its own. */
  async watchTopics() {
    await this.#register(
      `SELECT count(*) FILTER (WHERE registered)::int AS registered FROM generate_series(1, ${this.size.liveQueries}) AS sub,
          live.run_query('feed:newest', json_build_object('topic', '${OTHER_TOPIC} ' || sub)::text, NULL, ${OWNER}, sub, 1)`,
    );
  }

  async #register(text) {
    await this.client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const { rows } = await this.client.query(text);
    await this.client.query("COMMIT");
    if (rows[0].registered !== this.size.liveQueries) {
      throw new Error(`${rows[0].registered} of ${this.size.liveQueries} live queries were registered`);
    }
  }

  /** Fails unless all live queries are still there: no write was to touch them. */
  async untouched() {
    const { rows } = await this.client.query("SELECT (live.status()->>'live_queries')::int AS subs");
    if (rows[0].subs < this.size.liveQueries) {
      throw new Error(`${rows[0].subs} of ${this.size.liveQueries} live queries are left: unrelated writes hit them`);
    }
  }
}

/** One line of the table: each side of one statement in turns, as ratios to the side without capture. */
async function compare(bench, what, arms, { target, higherIsBetter }) {
  bench.say(`capture: ${what}`);
  await inTurns(arms, 1);
  const samples = await inTurns(arms, bench.size.rounds);
  const byRound = (side) => samples[side].map(median);
  const plain = byRound("none");
  const others = Object.keys(arms).filter((side) => side !== "none");
  return others.map((side) => {
    const times = spread(byRound(side).map((value, round) => value / plain[round]));
    const goal = target[side];
    const isMet = higherIsBetter ? times.median >= goal : times.median <= goal;
    const verdict = goal === undefined ? ["", ""] : [`${higherIsBetter ? "at least" : "at most"} ${goal}`, isMet ? "met" : "**missed**"];
    bench.figures[what] = { ...bench.figures[what], [side]: times };
    return [what, side, figure(median(byRound(side))), figure(median(plain)), ratio(times), ...verdict];
  });
}

async function writers(bench, kinds, { label = "", commit = "off", target, sides = Object.keys(SIDES) }) {
  const rows = [];
  for (const kind of kinds) {
    for (const [name, statement] of Object.entries(KINDS[kind].statements)) {
      const arms = {};
      for (const side of sides) {
        const table = await bench.table(kind, side);
        arms[side] = async () => {
          await bench.prepare(kind, side);
          return bench.throughput(table, statement, commit);
        };
      }
      rows.push(...(await compare(bench, `${name}, ${kind}${label}`, arms, { target, higherIsBetter: true })));
    }
  }
  return rows;
}

async function bulkUpdate(bench) {
  const arms = {};
  for (const side of Object.keys(SIDES)) {
    const table = `bulk_${side}`;
    await bench.client.query(`CREATE TABLE ${table} (id bigserial PRIMARY KEY, k int, body text)`);
    await bench.client.query(
      `INSERT INTO ${table} (k, body) SELECT n, 'a short text of a row' FROM generate_series(1, ${bench.size.bulkRows}) AS n`,
    );
    for (const statement of [...SIDES[side](table), `VACUUM ANALYZE ${table}`]) {
      await bench.client.query(statement);
    }
    arms[side] = () => bench.bulk(table);
  }
  const what = `UPDATE of ${bench.size.bulkRows.toLocaleString("en")} rows`;
  return compare(bench, what, arms, { target: { trigger: 1.25, wal: 1.25 }, higherIsBetter: false });
}

export async function measure({ server, say, quick }) {
  const size = SIZES[quick ? "quick" : "full"];
  await server.configure("wal_level = logical");
  const bench = new Bench(server, size, say);
  try {
    await bench.open();
    const quiet = { target: { trigger: 0.8, wal: 0.92 } };
    const rows = [
      ...(await writers(bench, size.kinds, quiet)),
      ...(quick ? [] : await writers(bench, ["with two indexes"], { label: ", synchronous_commit=on", commit: "on", target: {} })),
      ...(await bulkUpdate(bench)),
    ];
    const many = size.liveQueries.toLocaleString("en");
    if (!quick) {
      await bench.watchOthers();
      rows.push(...(await writers(bench, ["with two indexes", "documents"], { label: `, ${many} live queries on other tables`, target: { trigger: 0.75, wal: 0.75 } })));
      await bench.untouched();
    }
    for (const side of ["trigger", "wal"]) {
      await bench.prepare("documents", side);
      await bench.watchTopics();
      if (side === "wal") {
        // The first write has the decoder started, and counts as one of the whole table.
        await bench.writeOnce("documents", side);
        await bench.prepare("documents", side);
        await bench.watchTopics();
      }
      const label = `, ${many} live queries on other topics of the table`;
      rows.push(...(await writers(bench, ["documents"], { label, target: { trigger: 0.75, wal: 0.75 }, sides: ["none", side] })));
      await bench.untouched();
    }
    await bench.check();
    return {
      figures: bench.figures,
      tables: [{
        title: "Write cost of capture",
        columns: ["what", "capture", "with", "without", "with / without", "target", ""],
        rows,
        note:
          `Transactions per second of ${WRITERS} connections of pgbench, prepared statements of one row, ${size.seconds} s a turn, ` +
          "synchronous_commit=off unless said otherwise, and no live query on the tables; milliseconds for the UPDATE of many rows. Both " +
          `sides in one server, ${size.rounds} rounds in turns. Rows are counted, and a live query on each table is told of a write.`,
      }],
    };
  } finally {
    await bench.close();
  }
}
