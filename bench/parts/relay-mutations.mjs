// Serializable transfers between accounts through one relay, beside a Node server that does the same by round trips and
// one that calls a PL/pgSQL function once. Durable commits; the sum of all balances is checked.
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { WebSocket } from "ws";
import { relayMetrics } from "../../pg_test/lib/metrics.mjs";
import { pidListeningOn } from "../../pg_test/lib/processes.mjs";
import { familyCpu, processCpu } from "../lib/cpu.mjs";
import { figure, ratio } from "../lib/format.mjs";
import { syncUrl } from "../lib/load.mjs";
import { makePeerDatabase, PeerServer } from "../lib/peer.mjs";
import { inTurns, median, spread } from "../lib/stats.mjs";

const ACCOUNTS = 10_000;
const START = 1_000;
const CLIENTS = 32;
const SIZES = { full: { rounds: 5, seconds: 8 }, quick: { rounds: 3, seconds: 1 } };
const LABELS = { live: "pg_live", roundtrips: "Node + pg, round trips", plpgsql: "Node + pg, PL/pgSQL in one round trip" };
const TARGETS = { "low contention": { roundtrips: 1.2, plpgsql: 0.35 }, "Zipf 1.5": { roundtrips: 3 } };

/** Which two accounts the next transfer is between. */
const CHOICES = {
  "low contention": () => () => Math.floor(Math.random() * ACCOUNTS),
  "Zipf 1.5": () => {
    let sum = 0;
    const shares = Array.from({ length: ACCOUNTS }, (_, n) => (sum += (n + 1) ** -1.5));
    return () => {
      const at = Math.random() * sum;
      let [low, high] = [0, ACCOUNTS - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        shares[middle] < at ? (low = middle + 1) : (high = middle);
      }
      return low;
    };
  },
};

/** One client that has one transfer under way at a time. */
class Client {
  #waiting = new Map();
  #next = 0;

  constructor(url, hello, request, outcome) {
    this.request = request;
    this.socket = new WebSocket(url, { perMessageDeflate: false });
    this.opened = new Promise((resolve, reject) => {
      this.socket.once("open", () => {
        hello.forEach((message) => this.socket.send(JSON.stringify(message)));
        resolve();
      });
      this.socket.once("error", reject);
    });
    this.socket.on("message", (data) => {
      const answer = outcome(JSON.parse(data));
      if (answer !== undefined) {
        this.#waiting.get(answer.id)?.(answer.error);
        this.#waiting.delete(answer.id);
      }
    });
    this.socket.on("close", () => this.#waiting.forEach((settle) => settle("the connection was closed")));
  }

  /** Resolves to the error, if there is one. */
  transfer(from, to) {
    const id = this.#next;
    this.#next += 1;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.socket.send(JSON.stringify(this.request(id, { from, to, amount: 1 })));
    });
  }
}

const openLive = (url) =>
  new Client(
    syncUrl(url),
    [{ type: "Connect", sessionId: randomUUID(), connectionCount: 0, lastCloseReason: "InitialConnect", clientTs: 0 }],
    (requestId, args) => ({ type: "Mutation", requestId, udfPath: "accounts:transfer", args: [args] }),
    ({ type, requestId, success, result }) =>
      type === "MutationResponse" ? { id: requestId, error: success ? undefined : result } : undefined,
  );

const openPeer = (url) => new Client(url, [], (id, args) => ({ id, ...args }), ({ id }) => ({ id }));

/** Postmaster of the cluster. */
async function postmaster(server) {
  const admin = server.sql({ admin: true, max: 1 });
  const { rows } = await admin.query("SELECT setting FROM pg_settings WHERE name = 'data_directory'");
  return Number((await readFile(join(rows[0].setting, "postmaster.pid"), "utf8")).split("\n")[0]);
}

/** A round: transfers per second, and what it took. */
function arm({ clients, pid }, next, seconds, database) {
  return async () => {
    const cpu = async () => ({ server: await processCpu(pid), database: await familyCpu(database) });
    const [before, own, started] = [await cpu(), process.cpuUsage(), performance.now()];
    const end = started + seconds * 1000;
    let [done, lost] = [0, 0];
    const work = clients.map(async (client) => {
      while (performance.now() < end) {
        const from = next();
        const to = (from + 1 + Math.floor(Math.random() * (ACCOUNTS - 1))) % ACCOUNTS;
        const error = await client.transfer(`account ${from}`, `account ${to}`);
        if (error === undefined) {
          done += 1;
        } else if (/changed while/.test(error)) {
          lost += 1; // It has done nothing; another one is tried.
        } else {
          throw new Error(error);
        }
      }
    });
    await Promise.all(work);
    const [after, { user, system }] = [await cpu(), process.cpuUsage(own)];
    const ms = performance.now() - started;
    return [{
      perSecond: (done * 1000) / ms,
      lost: lost / Math.max(1, done + lost),
      cores: { server: (after.server - before.server) / ms, database: (after.database - before.database) / ms, generator: (user + system) / 1000 / ms },
    }];
  };
}

async function checkSum(url, side) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query("SELECT sum(balance)::float8 AS sum, count(*)::int AS count FROM accounts");
  await client.end();
  if (rows[0].sum !== ACCOUNTS * START || rows[0].count !== ACCOUNTS) {
    throw new Error(`${side}: the balances add up to ${rows[0].sum}, not ${ACCOUNTS * START}`);
  }
}

async function fill(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("INSERT INTO accounts (name, balance) SELECT 'account ' || n, $2 FROM generate_series(0, $1::int - 1) AS n", [ACCOUNTS, START]);
  await client.query("VACUUM ANALYZE accounts");
  await client.end();
}

export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  const peersUrl = await makePeerDatabase(server);
  await fill(server.env.DATABASE_URL);
  await fill(peersUrl);
  const roundtrips = await PeerServer.start("node-mutations", peersUrl, { VARIANT: "roundtrips" });
  const plpgsql = await PeerServer.start("node-mutations", peersUrl, { VARIANT: "plpgsql" });
  const open = (make) => Array.from({ length: CLIENTS }, make);
  const sides = {
    live: { clients: open(() => openLive(server.url)), pid: await pidListeningOn(server.relayPort) },
    roundtrips: { clients: open(() => openPeer(roundtrips.url)), pid: roundtrips.process.pid },
    plpgsql: { clients: open(() => openPeer(plpgsql.url)), pid: plpgsql.process.pid },
  };
  const [figures, tables] = [{}, []];
  try {
    await Promise.all(Object.values(sides).flatMap(({ clients }) => clients.map(({ opened }) => opened)));
    const database = await postmaster(server);
    for (const [name, choice] of Object.entries(CHOICES)) {
      say(`relay-mutations: ${name}`);
      const arms = (seconds) =>
        Object.fromEntries(Object.entries(sides).map(([side, it]) => [side, arm(it, choice(), seconds, database)]));
      await inTurns(arms(1), 1); // Warm.
      const before = await relayMetrics(server.url);
      const samples = await inTurns(arms(size.seconds), size.rounds);
      const after = await relayMetrics(server.url);
      await checkSum(server.env.DATABASE_URL, "pg_live");
      await checkSum(peersUrl, "the Node servers");
      const of = (side, get) => samples[side].map(([sample]) => get(sample));
      const rate = (side) => of(side, (sample) => sample.perSecond);
      const figuresOf = (side) => ({
        perSecond: median(rate(side)),
        liveTimes: spread(rate("live").map((value, round) => value / rate(side)[round])),
        lost: median(of(side, ({ lost }) => lost)),
        cores: Object.fromEntries(["server", "database", "generator"].map((who) => [who, median(of(side, ({ cores }) => cores[who]))])),
      });
      figures[name] = Object.fromEntries(Object.keys(sides).map((side) => [side, figuresOf(side)]));
      const retries = after.pg_live_mutation_retries_total - before.pg_live_mutation_retries_total;
      const mutations = after.pg_live_mutations_total - before.pg_live_mutations_total;
      figures[name].live.retriesPerMutation = retries / mutations;
      tables.push({
        title: `Transfers per second, ${name}`,
        columns: ["", "per second", "pg_live is times as fast", "given up", "cores: server", "cores: Postgres", "cores: load"],
        rows: Object.entries(LABELS).map(([side, label]) => {
          const it = figures[name][side];
          return [
            label,
            figure(it.perSecond),
            side === "live" ? "1" : ratio(it.liveTimes),
            `${figure(it.lost * 100)} %`,
            ...["server", "database", "generator"].map((who) => figure(it.cores[who])),
          ];
        }),
        note:
          `${CLIENTS} clients with one transfer under way each, ${ACCOUNTS} accounts; the sum of the balances was right after each. ` +
          `pg_live repeated ${figure(retries / mutations)} attempts per mutation and stores each outcome, so that a client that sends it again does ` +
          `not do it twice; the Node servers do not. Targets: ${JSON.stringify(TARGETS[name])}.`,
      });
    }
  } finally {
    Object.values(sides).forEach(({ clients }) => clients.forEach(({ socket }) => socket.terminate()));
    roundtrips.stop();
    plpgsql.stop();
  }
  return { figures, targets: TARGETS, tables };
}
