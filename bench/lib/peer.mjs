// Peers: servers of their own process beside a database of their own in the same cluster, and
// their clients.
import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { WebSocket } from "ws";
import { within } from "../../pg_test/lib/wait.mjs";

const PEERS = new URL("../peers/", import.meta.url);

const readSql = (path) => readFile(new URL(path, PEERS), "utf8");

/** Makes a database with the feed's table and what these peers need; resolves to its URL as the app's owner. */
export async function makePeerDatabase(server, database = "peers", names = ["node-requery", "floor", "node-mutations"]) {
  const admin = server.sql({ admin: true, max: 1 });
  await admin.query(`CREATE DATABASE ${database} OWNER app`);
  const url = new URL(server.env.DATABASE_URL);
  url.pathname = `/${database}`;
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  // Its owner may make tables in schema public, as in the app's database.
  for (const path of ["entries.sql", ...names.map((name) => `${name}/schema.sql`)]) {
    await client.query(await readSql(path));
  }
  await client.end();
  return url.href;
}

/** A program of `bench/peers/<name>` in a process of its own, by the Node of its packages if it has one. */
export function forkPeer(name, file, env = {}) {
  const own = fileURLToPath(new URL(`${name}/node_modules/node/bin/node`, PEERS));
  return fork(fileURLToPath(new URL(`${name}/${file}`, PEERS)), {
    env: { ...process.env, ...env },
    execPath: existsSync(own) ? own : process.execPath,
  });
}

export class PeerServer {
  /** Starts `bench/peers/<name>/server.mjs` with these variables. */
  static async start(name, databaseUrl, env = {}) {
    const peer = new PeerServer();
    peer.process = forkPeer(name, "server.mjs", { ...env, DATABASE_URL: databaseUrl });
    const ended = once(peer.process, "exit").then(([code]) => {
      throw new Error(`the peer ${name} ended with ${code}`);
    });
    ended.catch(() => {}); // At the end it is meant to.
    const [{ port, pids }] = await within(`the peer ${name}`, Promise.race([once(peer.process, "message"), ended]), 120_000);
    peer.url = `ws://127.0.0.1:${port}`;
    /** The processes that serve. */
    peer.pids = pids ?? [peer.process.pid];
    return peer;
  }

  stop() {
    this.process.kill();
  }
}

/** The same as `SyncClient`, for the peers' protocol: `{ id, query, args }` up, `{ id, value }` down. */
export class PeerClient {
  #missing;
  #handlers;
  #opened;

  constructor(url, queries, handlers) {
    this.#missing = queries.length;
    this.#handlers = handlers;
    this.socket = new WebSocket(url, { perMessageDeflate: false });
    this.socket.once("open", () => {
      queries.forEach(({ query, args }, id) => this.socket.send(JSON.stringify({ id, query, args })));
      this.#countDown(0);
    });
    this.socket.on("message", (data) => {
      const { id, value } = JSON.parse(data);
      handlers.onValue(id, value);
      this.#countDown(1);
    });
    this.socket.once("close", (code, reason) => this.#fail(new Error(`the peer closed: ${code} ${reason}`)));
    this.socket.on("error", (error) => this.#fail(error));
  }

  /** Resolves once every query has its first value. */
  ready() {
    return new Promise((resolve, reject) => (this.#opened = { resolve, reject }));
  }

  close() {
    this.socket.removeAllListeners("close");
    this.socket.terminate();
  }

  #countDown(values) {
    this.#missing -= values;
    if (this.#missing <= 0) {
      this.#opened?.resolve();
      this.#opened = undefined;
    }
  }

  #fail(error) {
    this.#opened?.reject(error);
    this.#handlers.onError(error);
  }
}
