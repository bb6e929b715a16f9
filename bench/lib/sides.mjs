// The sides of the latency part. Each has a writer, which inserts by plain SQL, and subscribers, which
// put what they are given on a board.
import { ConvexClient } from "convex/browser";
import pg from "pg";
import { WebSocket } from "ws";
import { Board } from "./board.mjs";
import { PeerClient } from "./peer.mjs";
import { RemoteClients } from "./remote.mjs";
import { SyncClient } from "./sync-client.mjs";

const INSERT = "INSERT INTO entries (topic, n, body) VALUES ($1, $2, $3)";
const INSERT_AND_NOTIFY = `
  WITH written AS (INSERT INTO floor_entries (topic, n, body) VALUES ($1, $2, $3) RETURNING id)
  SELECT pg_notify('floor', id::text) FROM written`;
const NEWEST = "SELECT topic, max(n) AS n FROM entries GROUP BY topic";

/** So many sessions are opened at a time. */
const OPENED_AT_ONCE = 20;

/** What the sessions subscribe to: `sessions` lists of `each` topics, all distinct. */
export function layOut(sessions, each) {
  return Array.from({ length: sessions }, (_, session) =>
    Array.from({ length: each }, (_, query) => `topic ${session * each + query}`),
  );
}

class Side {
  board = new Board();
  clients = [];
  #writer;
  #insert;
  #url;

  constructor(databaseUrl, insert = INSERT) {
    this.#url = databaseUrl;
    this.#writer = new pg.Client({ connectionString: databaseUrl });
    this.#insert = insert;
  }

  /** Connects the writer, and a client for each list of topics. `open(topics)` makes a client. */
  async open(layout, open) {
    await this.#writer.connect();
    for (let start = 0; start < layout.length; start += OPENED_AT_ONCE) {
      const clients = layout.slice(start, start + OPENED_AT_ONCE).map(open);
      this.clients.push(...clients);
      await Promise.all(clients.map((client) => client.ready()));
    }
    this.board.needless = 0; // The first values were asked for.
    return this;
  }

  /** Inserts an entry by one autocommitted statement; resolves when its commit has returned. */
  async write({ topic, n, body }) {
    await this.#writer.query({ name: "write", text: this.#insert, values: [topic, n, body] });
  }

  /**
   * Some connections insert these entries as fast as they can, each topic always by the same one. Resolves to the moments at
   * which the last commit had returned and at which the last topic showed its newest entry.
   */
  async flood(entries, connections, patience) {
    const writers = await Promise.all(Array.from({ length: connections }, () => this.#another()));
    const lists = writers.map(() => []);
    const last = new Map();
    for (const entry of entries) {
      const known = last.get(entry.topic);
      const writer = known?.writer ?? last.size % connections;
      last.set(entry.topic, { n: entry.n, writer });
      lists[writer].push(entry);
    }
    const settled = this.board.settle(new Map([...last].map(([topic, { n }]) => [topic, n])), patience);
    settled.catch(() => {}); // Told below, after the writes.
    try {
      const started = performance.now();
      await Promise.all(writers.map(async (writer, index) => {
        for (const { topic, n, body } of lists[index]) {
          await writer.query({ name: "write", text: this.#insert, values: [topic, n, body] });
        }
      }));
      const written = performance.now();
      const shown = await settled;
      return { written: written - started, shown: Math.max(shown, written) - started };
    } finally {
      await Promise.all(writers.map((writer) => writer.end()));
    }
  }

  async #another() {
    const client = new pg.Client({ connectionString: this.#url });
    await client.connect();
    return client;
  }

  /** Compares what is shown with what the database has for the topics. */
  async check(topics) {
    const { rows } = await this.#writer.query(NEWEST);
    const newest = new Map(rows.map(({ topic, n }) => [topic, n]));
    this.board.check(new Map(topics.map((topic) => [topic, newest.get(topic)])));
  }

  async close() {
    await Promise.all(this.clients.map((client) => client.close()));
    await this.#writer.end();
  }

  handlers(topics) {
    return {
      onValue: (index, value) => this.board.show(topics[index], value),
      onError: (error) => this.board.fail(error),
    };
  }
}

/** pg_live, with clients that speak the sync protocol by hand. */
export function openLive({ url, databaseUrl, layout }) {
  const side = new Side(databaseUrl);
  return side.open(layout, (topics) => {
    const queries = topics.map((topic) => ({ path: "feed:newest", args: { topic } }));
    return new SyncClient(url, queries, side.handlers(topics));
  });
}

/** pg_live, with the client of npm `convex`. */
export function openLiveNpm({ url, databaseUrl, layout }) {
  const side = new Side(databaseUrl);
  return side.open(layout, (topics) => {
    const handlers = side.handlers(topics);
    const client = new ConvexClient(url, {
      logger: false,
      unsavedChangesWarning: false,
      webSocketConstructor: WebSocket,
    });
    const first = topics.map(
      (topic, index) =>
        new Promise((resolve) => {
          const onValue = (value) => resolve(handlers.onValue(index, value));
          client.onUpdate("feed:newest", { topic }, onValue, handlers.onError);
        }),
    );
    return { ready: () => Promise.all(first), close: () => client.close() };
  });
}

/** Trigger, NOTIFY and a server that runs the queries again. */
export function openRequery({ url, databaseUrl, layout }) {
  const side = new Side(databaseUrl);
  return side.open(layout, (topics) => {
    const queries = topics.map((topic) => ({ query: "newest", args: { topic } }));
    return new PeerClient(url, queries, side.handlers(topics));
  });
}

/** The floor: one client, which is sent every entry. */
export function openFloor({ url, databaseUrl }) {
  const side = new Side(databaseUrl, INSERT_AND_NOTIFY);
  return side.open([[]], () => new PeerClient(url, [], {
    onValue: (_, value) => side.board.show(value.topic, value),
    onError: (error) => side.board.fail(error),
  }));
}

/** A peer whose clients are a process of their own; `url` is what they connect to. */
export function openRemote({ name, url, databaseUrl, layout }) {
  const side = new Side(databaseUrl);
  return side.open([layout], (sessions) => {
    const show = (topic, value, at) => side.board.show(topic, value, at);
    let clients;
    return {
      ready: async () => (clients = await RemoteClients.open(name, url, sessions, show, (error) => side.board.fail(error))),
      close: () => clients.close(),
    };
  });
}
