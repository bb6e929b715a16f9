// The load generator in Rust (bench/load): many clients, or the bare broadcast loop.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { PG_LIVE } from "../../pg_test/lib/server.mjs";
import { within } from "../../pg_test/lib/wait.mjs";

const LOAD = join(dirname(PG_LIVE), "pg-live-bench-load");
/** An answer that has not come by then never will, in milliseconds. */
const PATIENCE = 300_000;

class Load {
  #answers = [];
  #waiting = [];
  #ended;

  constructor(args) {
    this.process = spawn(LOAD, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.process.once("error", (error) => this.#end(error));
    this.process.once("exit", (code) => this.#end(new Error(`the load generator ended with ${code}`)));
    this.process.stdin.on("error", () => {}); // It has ended; whoever waits is told.
    createInterface({ input: this.process.stdout }).on("line", (line) => {
      const waiting = this.#waiting.shift();
      const answer = JSON.parse(line);
      waiting === undefined ? this.#answers.push(answer) : waiting.resolve(answer);
    });
  }

  tell(command) {
    this.process.stdin.write(`${command}\n`);
  }

  /** The next answer. */
  async answer(what) {
    if (this.#answers.length > 0) {
      return this.#answers.shift();
    }
    if (this.#ended !== undefined) {
      throw this.#ended;
    }
    return await within(what, new Promise((resolve, reject) => this.#waiting.push({ resolve, reject })), PATIENCE);
  }

  stop() {
    this.process.removeAllListeners("exit");
    this.process.kill();
  }

  #end(error) {
    this.#ended = error;
    this.#waiting.splice(0).forEach(({ reject }) => reject(error));
  }
}

/** Clients in one thread. Each shows the number `n` of the newest frame that has one. */
export class LoadClients extends Load {
  /** Opens `count` clients; `first` are their first messages, in which `{client}` is the number of a client. */
  static async open(url, count, first) {
    const folder = await mkdtemp(join(tmpdir(), "pg-live-load-"));
    const file = join(folder, "first");
    await writeFile(file, first.map((message) => JSON.stringify(message)).join("\n"));
    const clients = new LoadClients(["clients", url, String(count), file]);
    try {
      clients.opened = await clients.answer(`${count} clients`);
    } finally {
      await rm(folder, { recursive: true });
    }
    return clients;
  }

  /** Resolves once all show `n`. Ask before the write. */
  expect(n) {
    this.tell(`expect ${n}`);
    return this.answer(`all clients to show ${n}`);
  }

  /** Closes and opens all at once; milliseconds until each shows something. */
  async reconnect() {
    this.tell("reconnect");
    return (await this.answer("all clients to be back")).ms;
  }

  /** What each shows. */
  async values() {
    this.tell("values");
    return (await this.answer("values")).values;
  }
}

/** The bare loop of tokio-tungstenite. */
export class Broadcast extends Load {
  static async start(count) {
    const server = new Broadcast(["broadcast", String(count)]);
    const { port } = await server.answer("the broadcast server");
    server.url = `ws://127.0.0.1:${port}/`;
    return server;
  }

  send(text) {
    this.tell(`send ${text}`);
  }
}

/** First messages of a client of the sync protocol with one live query. All clients may have the same session. */
export function subscribe(path, args) {
  return [
    { type: "Connect", sessionId: randomUUID(), connectionCount: 0, lastCloseReason: "InitialConnect", clientTs: 0 },
    {
      type: "ModifyQuerySet",
      baseVersion: 0,
      newVersion: 1,
      modifications: [{ type: "Add", queryId: 0, udfPath: path, args: [args] }],
    },
  ];
}

/** The sync protocol's address of a relay. */
export const syncUrl = (url) => `${url.replace(/^http/, "ws")}/api/1.48.0/sync`;
