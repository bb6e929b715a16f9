// The clients that are not JavaScript: programs that are told by lines of JSON what to do.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { until, within } from "./wait.mjs";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
const PROGRAMS = {
  rust: [join(TARGET, "protocol-rust/debug/pg-live-protocol-client")],
  python: [join(TARGET, "protocol-python/bin/python3"), join(ROOT, "pg_test/protocol/python-client/client.py")],
};
/** A call that is not answered by then never will be, in milliseconds. */
const CALL_TIMEOUT = 90_000;

/** What a function threw. */
export class FunctionError extends Error {
  constructor({ error, convexError }) {
    super(error);
    this.data = convexError;
  }
}

/**
 * Whether the crate (which the package is built on) has given a call up because its connection ended just then. It does
 * send it again, so that it is carried out, but it has forgotten who asked.
 */
export const isForgotten = (error) => /channel closed/.test(error.message);

/** A client of the crate (`rust`) or of the PyPI package (`python`). Values are in the protocol's JSON. */
export class ForeignClient {
  #next = 0;
  #listeners = new Map();

  constructor(kind, url) {
    const [program, ...args] = PROGRAMS[kind];
    this.process = spawn(program, [...args, url], { stdio: ["pipe", "pipe", "pipe"] });
    this.process.setMaxListeners(0);
    this.errors = "";
    this.process.stderr.on("data", (text) => (this.errors += text));
    this.process.stdin.on("error", () => {});
    createInterface(this.process.stdout).on("line", (line) => {
      const answer = JSON.parse(line);
      this.#listeners.get(answer.id)?.(answer);
    });
  }

  #order(order, listener) {
    const id = this.#next++;
    this.#listeners.set(id, listener);
    this.process.stdin.write(`${JSON.stringify({ id, ...order })}\n`);
  }

  #once(order) {
    const answered = new Promise((resolve, reject) => {
      this.#order(order, (answer) => {
        if (answer.broken !== undefined) {
          reject(new Error(answer.broken));
        } else if (answer.error !== undefined) {
          reject(new FunctionError(answer));
        } else {
          resolve(answer.value);
        }
      });
      this.process.once("exit", (code) => reject(new Error(`the client ended with ${code}: ${this.errors}`)));
    });
    return within(`${order.op} ${order.path ?? ""}`, answered, CALL_TIMEOUT);
  }

  query(path, args = {}) {
    return this.#once({ op: "query", path, args });
  }

  mutation(path, args = {}) {
    return this.#once({ op: "mutation", path, args });
  }

  action(path, args = {}) {
    return this.#once({ op: "action", path, args });
  }

  /** `null`: signed out. */
  auth(token) {
    return this.#once({ op: "auth", token });
  }

  admin(key) {
    return this.#once({ op: "admin", key });
  }

  subscribe(path, args = {}) {
    const subscription = { values: [], errors: [] };
    this.#order({ op: "subscribe", path, args }, (answer) => {
      if (answer.error !== undefined) {
        subscription.errors.push(new FunctionError(answer));
      } else {
        subscription.values.push(answer.value);
      }
    });
    subscription.becomes = async (what, accept) => {
      await until(`${path}: ${what}`, () => subscription.values.length > 0 && accept(subscription.values.at(-1)), {
        timeout: 60_000,
      }).catch((error) => {
        error.message += `; newest: ${JSON.stringify(subscription.values.at(-1))?.slice(0, 300)}; ${this.errors.slice(-500)}`;
        throw error;
      });
      return subscription.values.at(-1);
    };
    return subscription;
  }

  async close() {
    if (this.process.exitCode === null) {
      this.process.kill("SIGKILL");
      await once(this.process, "exit");
    }
  }
}
