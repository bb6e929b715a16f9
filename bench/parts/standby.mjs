// From a writer's commit on the primary to a client: its query runs on a hot standby, or on the primary. Both relays
// serve the same database, in turns.
import { sleep } from "../../pg_test/lib/wait.mjs";
import { Pair } from "../../pg_test/standby/pair.mjs";
import { openAccounts } from "../../pg_test/standby/watch.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { inTurns, ratioOfRounds, summarize } from "../lib/stats.mjs";
import { SyncClient } from "../lib/sync-client.mjs";

const SIZES = { full: { rounds: 14, writes: 50 }, quick: { rounds: 5, writes: 40 } };
const PATIENCE_MS = 10_000;
const WRITE = "UPDATE accounts SET balance = balance + 1 WHERE name = $1 RETURNING balance";

/** One client with one live query; each write changes its result. */
class Side {
  #shown = -1;
  #waiting;

  /** `name`: the account that it watches; nobody else does. */
  constructor(url, db, name) {
    Object.assign(this, { db, name });
    this.client = new SyncClient(url, [{ path: "accounts:balance", args: { name } }], {
      onValue: (_, value) => this.#show(value),
      onError: (error) => this.#waiting?.reject(error),
    });
  }

  #show(value) {
    if (value < this.#shown) {
      this.#waiting?.reject(new Error(`the client went back from ${this.#shown} to ${value}`));
    }
    this.#shown = value;
    if (value >= this.#waiting?.value) {
      this.#waiting.resolve(performance.now());
    }
  }

  #shows(value) {
    return new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error(`${value} was not shown`)), PATIENCE_MS).unref();
      this.#waiting = { value, resolve, reject };
      this.#show(this.#shown);
    });
  }

  /** One write. Milliseconds until the client shows it, and from the commit's return to that. */
  async write() {
    const started = performance.now();
    const { rows } = await this.db.query(WRITE, [this.name]);
    const committed = performance.now();
    const shown = await this.#shows(rows[0].balance);
    return { total: shown - started, after: shown - committed };
  }
}

/** Throws unless so many runs were on the standby. */
async function assertPlace(pair, { ran }) {
  const { pg_live_replica_runs_total: replica } = await pair.metrics();
  if (replica < ran) {
    throw new Error(`of ${ran} runs only ${replica} were on the standby`);
  }
}

export async function measure({ say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  say("standby: starting a primary and a standby");
  const pair = await Pair.start();
  const db = pair.primary.sql("owner");
  const sides = {};
  try {
    await openAccounts(db);
    sides.standby = new Side(pair.url, db, "a");
    sides.primary = new Side(await pair.startPlainRelay(), db, "b");
    await Promise.all(Object.values(sides).map((side) => side.client.ready()));
    const arm = (side) => async () => {
      const samples = [];
      for (let n = 0; n < size.writes; n += 1) {
        samples.push(await side.write());
        await sleep(2);
      }
      return samples;
    };
    say("standby: commit to client");
    const arms = { standby: arm(sides.standby), primary: arm(sides.primary) };
    await inTurns(arms, 1); // Warm.
    const rounds = await inTurns(arms, size.rounds);
    await assertPlace(pair, { ran: size.rounds * size.writes });
    return report(rounds, size);
  } finally {
    Object.values(sides).forEach((side) => side.client.close());
    await pair.stop();
  }
}

function report(rounds, size) {
  const field = (name, what) => rounds[name].map((samples) => samples.map((sample) => sample[what]));
  const of = (name) => ({ total: summarize(field(name, "total").flat()), after: summarize(field(name, "after").flat()) });
  const figures = { standby: of("standby"), primary: of("primary"), times: ratioOfRounds(field("standby", "total"), field("primary", "total")) };
  const row = (label, { total, after }, times) => [label, ...[total.p50, total.p99, after.p50, after.p99].map(figure), times];
  return {
    figures,
    tables: [{
      title: "Commit to client, queries on a standby",
      columns: ["ms", "write to client p50", "p99", "commit's return to client p50", "p99", "times on the primary"],
      rows: [row("on a standby", figures.standby, ratio(figures.times)), row("on the primary", figures.primary, "1")],
      note:
        `${size.rounds} rounds of ${size.writes} writes per side, in turns, fsync off, one live query each; both servers, both relays and the ` +
        "clients on one machine. A run on a standby waits until it has replayed what had been written when the run was asked for.",
    }],
  };
}
