// Clients of a peer in a process of their own: it is sent `{ url, sessions }`, and sends `{ ready }` and the values that its
// clients show, each with the moment at which they did.
import { once } from "node:events";
import { within } from "../../pg_test/lib/wait.mjs";
import { forkPeer } from "./peer.mjs";

const PATIENCE_MS = 180_000;

/** What to add to the machine's monotonic clock for this process' `performance.now()`. */
const clockOffset = () => performance.now() - Number(process.hrtime.bigint()) / 1e6;

export class RemoteClients {
  /** Resolves once all sessions show something; `onValue(topic, value, at, session)`. */
  static async open(name, url, sessions, onValue, onError) {
    const clients = new RemoteClients();
    clients.process = forkPeer(name, "clients.mjs");
    const ended = once(clients.process, "exit").then(([code]) => {
      throw new Error(`the clients of ${name} ended with ${code}`);
    });
    ended.catch((error) => clients.closed || onError(error));
    await Promise.race([once(clients.process, "message"), ended]);
    const offset = clockOffset();
    const ready = new Promise((resolve) => {
      clients.process.on("message", ({ ready: isReady, topic, value, at, session }) =>
        isReady ? resolve() : onValue(topic, value, at + offset, session),
      );
    });
    clients.process.send({ url, sessions });
    await within(`the clients of ${name}`, Promise.race([ready, ended]), PATIENCE_MS);
    return clients;
  }

  close() {
    this.closed = true;
    this.process.kill("SIGKILL");
  }
}
