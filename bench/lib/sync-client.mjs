// A client of the sync protocol that does no more than it must: the same work per update as the
// peers' clients, so that a thousand of them fit beside the server.
import { randomUUID } from "node:crypto";
import { WebSocket } from "ws";

const START = { querySet: 0, identity: 0, ts: "AAAAAAAAAAA=" };

const same = (a, b) => a.querySet === b.querySet && a.identity === b.identity && a.ts === b.ts;

export class SyncClient {
  #version = START;
  #queries;
  #missing;
  #handlers;
  #opened;

  /**
   * `queries`: { path, args } of each live query of this session.
   * `handlers`: onValue(index, value) and onError(error).
   */
  constructor(url, queries, handlers) {
    this.#queries = queries;
    this.#missing = queries.length;
    this.#handlers = handlers;
    this.socket = new WebSocket(`${url.replace(/^http/, "ws")}/api/1.48.0/sync`, { perMessageDeflate: false });
    this.socket.once("open", () => this.#start());
    this.socket.on("message", (data) => this.#receive(JSON.parse(data)));
    this.socket.once("close", (code, reason) => this.#fail(new Error(`the server closed: ${code} ${reason}`)));
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

  #send(message) {
    this.socket.send(JSON.stringify(message));
  }

  #start() {
    this.#send({
      type: "Connect",
      sessionId: randomUUID(),
      connectionCount: 0,
      lastCloseReason: "InitialConnect",
      clientTs: Date.now(),
    });
    const modifications = this.#queries.map(({ path, args }, queryId) => ({
      type: "Add",
      queryId,
      udfPath: path,
      args: [args],
    }));
    this.#send({ type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications });
  }

  #receive(message) {
    if (message.type === "Transition") {
      this.#transition(message);
    } else if (message.type !== "Ping") {
      this.#fail(new Error(`unexpected message: ${JSON.stringify(message).slice(0, 500)}`));
    }
  }

  #transition({ startVersion, endVersion, modifications }) {
    if (!same(startVersion, this.#version)) {
      this.#fail(new Error(`a transition starts at ${JSON.stringify(startVersion)}, not where this client is`));
      return;
    }
    this.#version = endVersion;
    for (const modification of modifications) {
      if (modification.type === "QueryUpdated") {
        this.#handlers.onValue(modification.queryId, modification.value);
        this.#missing -= 1;
      } else {
        this.#fail(new Error(`${modification.type}: ${modification.errorMessage}`));
      }
    }
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
