// The real clients of npm `convex`, watched.
import { BaseConvexClient, ConvexClient } from "convex/browser";
import { WebSocket } from "ws";
import { until, within } from "./wait.mjs";

/** A call that is not answered by then never will be, in milliseconds. */
const CALL_TIMEOUT = 90_000;

const quiet = { logger: false, unsavedChangesWarning: false };

/** A WebSocket class that keeps its sockets, so that a test can cut them. */
function recordingSockets(sockets) {
  return class extends WebSocket {
    constructor(...args) {
      super(...args);
      sockets.push(this);
    }
  };
}

/** One live query of a `ConvexClient`: every value and error it was given, in order. */
export class Subscription {
  values = [];
  errors = [];
  #stop;

  constructor(client, name, args = {}) {
    this.name = name;
    this.#stop = client.onUpdate(
      name,
      args,
      (value) => this.values.push(value),
      (error) => this.errors.push(error),
    );
  }

  /** The newest value, or undefined before the first. */
  get value() {
    return this.values.at(-1);
  }

  /** Resolves to the newest value once it satisfies `accept`. */
  async becomes(what, accept, options) {
    await until(`${this.name}: ${what}`, () => this.values.length > 0 && accept(this.value), options).catch((error) => {
      error.message += `; newest value: ${JSON.stringify(this.value)?.slice(0, 600)}; errors: ${this.errors.slice(-2)}`;
      throw error;
    });
    return this.value;
  }

  /** Resolves once a value has come. */
  async ready() {
    return await this.becomes("has a value", () => true);
  }

  stop() {
    this.#stop();
  }
}

/** A `ConvexClient` whose connections a test can cut. */
export class LiveClient {
  sockets = [];

  constructor(url) {
    this.client = new ConvexClient(url, { ...quiet, webSocketConstructor: recordingSockets(this.sockets) });
  }

  subscribe(name, args) {
    return new Subscription(this.client, name, args);
  }

  mutation(name, args = {}) {
    return within(`the mutation ${name}`, this.client.mutation(name, args), CALL_TIMEOUT);
  }

  query(name, args = {}) {
    return within(`the query ${name}`, this.client.query(name, args), CALL_TIMEOUT);
  }

  /** Ends the connection as a broken network would: no closing handshake. */
  cut() {
    this.sockets.at(-1)?.terminate();
  }

  /** Resolves once connected. */
  async connected() {
    await until("the client is connected", () => this.client.connectionState().isWebSocketConnected);
  }

  async close() {
    await this.client.close();
  }
}

/**
 * Watches several queries of one client at the level of transitions: each
 * transition gives one entry with what all of them say at that moment, as an
 * app that renders after each transition would see it.
 */
export class TransitionWatcher {
  seen = [];

  /** `queries`: [name, args] pairs. */
  constructor(url, queries) {
    this.client = new BaseConvexClient(
      url,
      () => this.seen.push(queries.map(([name, args]) => this.client.localQueryResult(name, args))),
      { ...quiet, webSocketConstructor: WebSocket },
    );
    for (const [name, args] of queries) {
      this.client.subscribe(name, args);
    }
  }

  mutation(name, args) {
    return within(`the mutation ${name}`, this.client.mutation(name, args), CALL_TIMEOUT);
  }

  get latest() {
    return this.seen.at(-1);
  }

  async close() {
    await this.client.close();
  }
}
