// A TCP proxy whose connections can be cut or held still.
import { connect, createServer } from "node:net";

export class Proxy {
  #server;
  #pairs = new Set();
  #still = false;

  /** Listens on a port of its own and passes everything on to `target`, a port of 127.0.0.1. */
  static async start(target) {
    const proxy = new Proxy();
    proxy.target = target;
    proxy.#server = createServer((near) => proxy.#join(near));
    await new Promise((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(0, "127.0.0.1", resolve);
    });
    proxy.port = proxy.#server.address().port;
    return proxy;
  }

  #join(near) {
    const far = connect(this.target, "127.0.0.1");
    const pair = [near, far];
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      pair.forEach((socket) => socket.destroy());
    };
    for (const [from, to] of [pair, pair.toReversed()]) {
      from.setNoDelay(true);
      from.on("data", (bytes) => to.write(bytes) || (from.pause(), to.once("drain", () => this.#still || from.resume())));
      from.on("end", end).on("close", end).on("error", end);
    }
    if (this.#still) {
      pair.forEach((socket) => socket.pause());
    }
  }

  /** How many connections there are. */
  get size() {
    return this.#pairs.size;
  }

  /** Ends each connection that `choose` picks, without a word. */
  cut(choose = () => true) {
    for (const pair of [...this.#pairs].filter(choose)) {
      pair.forEach((socket) => socket.resetAndDestroy());
    }
  }

  /** Passes nothing on until `move`. */
  hold() {
    this.#still = true;
    this.#pairs.forEach((pair) => pair.forEach((socket) => socket.pause()));
  }

  move() {
    this.#still = false;
    this.#pairs.forEach((pair) => pair.forEach((socket) => socket.resume()));
  }

  close() {
    this.cut();
    this.#server.close();
  }
}
