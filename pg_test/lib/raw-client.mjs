// A client of the sync protocol that does no more than it must, so that many of them fit on a machine. It checks
// of every transition that it follows the one before, and shows it to `onTransition` as a whole.
import { randomUUID } from "node:crypto";
import { WebSocket } from "ws";

const START = { querySet: 0, identity: 0, ts: "AAAAAAAAAAA=" };

/** A timestamp of the protocol: base64 of 8 bytes, the lowest first. */
export const timestamp = (text) => Buffer.from(text, "base64").readBigUInt64LE();

export class RawClient {
  /** What is shown: query id -> value. */
  values = new Map();
  transitions = 0;
  #version = START;
  #querySet = 0;
  #nextQuery = 0;
  #nextRequest = 0;
  #requests = new Map();
  #waiting = [];
  #opened = withResolvers();
  #failure;

  /** `onTransition(client)` is called after each one; what it throws makes the client fail. */
  constructor(url, onTransition = () => {}) {
    this.onTransition = onTransition;
    this.socket = new WebSocket(`${url.replace(/^http/, "ws")}/api/1.48.0/sync`, { perMessageDeflate: false });
    this.socket.once("open", () => {
      this.#send({
        type: "Connect",
        sessionId: randomUUID(),
        connectionCount: 0,
        lastCloseReason: "InitialConnect",
        clientTs: Date.now(),
      });
      this.#opened.resolve();
    });
    this.socket.on("message", (data) => this.#receive(JSON.parse(data)));
    this.socket.once("close", (code, reason) => this.#fail(new Error(`the server closed: ${code} ${reason}`)));
    this.socket.on("error", (error) => this.#fail(error));
  }

  /** Resolves once messages can be sent. */
  get opened() {
    return this.#opened.promise;
  }

  /** Changes the query set: removes these ids, adds these queries; the ids of the added ones. */
  modify(added, removed = []) {
    const ids = added.map(() => this.#nextQuery++);
    this.#send({
      type: "ModifyQuerySet",
      baseVersion: this.#querySet,
      newVersion: ++this.#querySet,
      modifications: [
        ...removed.map((queryId) => ({ type: "Remove", queryId })),
        ...added.map(([udfPath, args], n) => ({ type: "Add", queryId: ids[n], udfPath, args: [args] })),
      ],
    });
    return ids;
  }

  /** Resolves to the response's timestamp once a transition has come that says it shows the mutation. */
  mutate(udfPath, args) {
    const requestId = this.#nextRequest++;
    const request = withResolvers();
    this.#requests.set(requestId, request);
    this.#send({ type: "Mutation", requestId, udfPath, args: [args] });
    return request.promise;
  }

  /** Resolves once `accept()` is true after a transition, or is already. Fails with the client, or after a time. */
  until(what, accept, timeout = 30_000) {
    const waiting = { ...withResolvers(), accept };
    const timer = setTimeout(() => waiting.reject(new Error(`gave up after ${timeout} ms waiting until ${what}`)), timeout);
    waiting.promise = waiting.promise.finally(() => clearTimeout(timer));
    this.#waiting.push(waiting);
    if (this.#failure !== undefined) {
      waiting.reject(this.#failure);
    }
    this.#look();
    return waiting.promise;
  }

  close() {
    this.socket.removeAllListeners("close");
    this.socket.terminate();
  }

  #send(message) {
    this.socket.send(JSON.stringify(message));
  }

  #receive(message) {
    try {
      if (message.type === "Transition") {
        this.#transition(message);
      } else if (message.type === "MutationResponse") {
        this.#response(message);
      } else if (message.type !== "Ping") {
        throw new Error(`unexpected message: ${JSON.stringify(message).slice(0, 500)}`);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #transition({ startVersion, endVersion, modifications }) {
    const [start, now] = [JSON.stringify(startVersion), JSON.stringify(this.#version)];
    if (start !== now || timestamp(endVersion.ts) < timestamp(startVersion.ts)) {
      throw new Error(`a transition from ${start} to ${JSON.stringify(endVersion)} at ${now}`);
    }
    this.#version = endVersion;
    this.transitions += 1;
    for (const modification of modifications) {
      if (modification.type === "QueryUpdated") {
        this.values.set(modification.queryId, modification.value);
      } else if (modification.type === "QueryRemoved") {
        this.values.delete(modification.queryId);
      } else {
        throw new Error(`${modification.type}: ${modification.errorMessage}`);
      }
    }
    this.onTransition(this);
    for (const [id, { ts, resolve }] of this.#requests) {
      if (ts !== undefined && ts <= timestamp(endVersion.ts)) {
        this.#requests.delete(id);
        resolve(ts);
      }
    }
    this.#look();
  }

  #response({ requestId, success, result, ts }) {
    const request = this.#requests.get(requestId);
    if (!success) {
      this.#requests.delete(requestId);
      request.reject(new Error(result));
    } else {
      request.ts = timestamp(ts);
      if (request.ts <= timestamp(this.#version.ts)) {
        this.#requests.delete(requestId);
        request.resolve(request.ts);
      }
    }
  }

  #look() {
    this.#waiting = this.#waiting.filter(({ accept, resolve }) => {
      const done = accept();
      if (done) {
        resolve();
      }
      return !done;
    });
  }

  #fail(error) {
    this.#failure ??= error;
    this.#opened.reject(error);
    this.#opened.promise.catch(() => {});
    for (const { reject } of [...this.#waiting, ...this.#requests.values()]) {
      reject(this.#failure);
    }
    this.#waiting = [];
  }

  get hasFailed() {
    return this.#failure !== undefined;
  }

  /** Throws what went wrong, if something did. */
  check() {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
  }
}

function withResolvers() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
