// Functions that do what no function should. Each is ended, and nothing else notices.
import { call, insert, register } from "./register.js";

const spin = () => {
  for (;;) {
    // Runs until somebody ends it.
  }
};
const throwing = () => {
  throw new Error("from the trap");
};

const ways = {
  loop: spin,
  promiseChain() {
    const again = () => Promise.resolve().then(again);
    return again();
  },
  async awaitLoop() {
    for (;;) await null;
  },
  async syscallLoop() {
    for (;;) await call("1.0/getUserIdentity", {});
  },
  syncSyscallLoop() {
    for (;;) Convex.syscall("1.0/componentArgument", "{}");
  },
  regex: () => /^(a+)+$/.test(`${"a".repeat(60)}b`),
  finallyLoop() {
    try {
      spin();
    } finally {
      spin();
    }
  },
  async catchAndWrite() {
    try {
      spin();
    } catch {
      await insert("after the end");
    } finally {
      await insert("after the end");
    }
  },
  sortLoop: () => [3, 2, 1].sort(() => spin()),
  replaceLoop: () => "x".replace(/x/, () => spin()),
  getterLoop: () => JSON.stringify({ get value() { return spin(); } }),
  thenableLoop: () => ({ then: () => spin() }),
  iteratorLoop: () => Array.from({ [Symbol.iterator]: () => ({ next: () => ({ done: false }) }) }),
  stackLoop() {
    Error.prepareStackTrace = () => spin();
    return new Error("read").stack;
  },
  throwStackLoop() {
    throw { message: "m", get stack() { return spin(); } };
  },
  toStringLoop() {
    throw { message: { toString: () => spin() } };
  },
  logLoop: () => console.log({ get value() { return spin(); }, [Symbol.toStringTag]: "x" }, new Proxy({}, { ownKeys: () => spin() })),
  bigintPower: () => (7n ** 1000000n) ** 100n,

  heap() {
    const kept = [];
    for (;;) kept.push(new Array(1000).fill({}));
  },
  map() {
    const kept = new Map();
    for (let n = 0; ; n += 1) kept.set(n, `${n}`);
  },
  closures() {
    let kept = null;
    for (;;) kept = ((before) => () => before)(kept);
  },
  buffers() {
    const kept = [];
    for (;;) kept.push(new Uint8Array(2 ** 22).fill(1));
  },
  oneBuffer: () => new ArrayBuffer(2 ** 32).byteLength,
  growingBuffer: () => new ArrayBuffer(8, { maxByteLength: 2 ** 33 }).resize(2 ** 32),
  wasmMemory: () => new WebAssembly.Memory({ initial: 32768 }).buffer.byteLength,
  wasmMemories() {
    const kept = [];
    for (;;) {
      const memory = new WebAssembly.Memory({ initial: 512 });
      new Uint8Array(memory.buffer).fill(1);
      kept.push(memory);
    }
  },
  async promises() {
    const kept = [];
    for (;;) kept.push(call("1.0/getUserIdentity", { pad: "x".repeat(1000) }));
  },
  logs() {
    for (;;) console.log("x".repeat(100000));
  },

  giantString: () => "x".repeat(2 ** 30),
  doublingString() {
    let text = "x";
    for (;;) text += text;
  },
  joinedString: () => new Array(2 ** 25).fill("0123456789abcdefghij").join(""),
  recursion() {
    const deeper = (n) => deeper(n + 1) + 1;
    return deeper(0);
  },
  mutualRecursion() {
    const ping = (n) => pong(n + 1) + 1;
    const pong = (n) => ping(n + 1) + 1;
    return ping(0);
  },
  getterRecursion() {
    const value = { get value() { return value.value; } };
    return value.value;
  },
  deepJson() {
    let value = [];
    for (let n = 0; n < 200000; n += 1) value = [value];
    return value;
  },
  deepParse: () => JSON.parse("[".repeat(1000000)),
  cycle() {
    const value = {};
    value.value = value;
    return value;
  },
  proxyChain() {
    let value = {};
    for (let n = 0; n < 200000; n += 1) value = new Proxy(value, {});
    return value.x;
  },
  never: () => new Promise(() => {}),
  unhandled() {
    Promise.reject(new Error("nobody looks"));
    return null;
  },
  async unhandledLater() {
    await null;
    Promise.reject(new Error("nobody looks"));
    await call("1.0/getUserIdentity", {});
    return null;
  },
  throwingGetter: () => ({ get value() { return throwing(); } }),
  throwingProxy: () => new Proxy({}, { get: throwing, ownKeys: throwing, getPrototypeOf: throwing }),
  revokedProxy() {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  throwingToJson: () => ({ toJSON: throwing }),
  throwProxy() {
    throw new Proxy({}, { get: throwing, has: throwing, getPrototypeOf: throwing });
  },
  throwGetters() {
    throw { get message() { return throwing(); }, get stack() { return throwing(); } };
  },
  throwSymbol() {
    throw Symbol("thrown");
  },
  throwNull() {
    throw null;
  },
  throwHuge() {
    throw new Error("x".repeat(2 ** 26));
  },
  throwLong() {
    throw new Error("x".repeat(2 ** 21));
  },
  bigResult: () => "x".repeat(20 * 2 ** 20),
  notText: () => 1n,
  atomicsWait: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  atomicsWaitOfWasm() {
    const { buffer } = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    return Atomics.wait(new Int32Array(buffer), 0, 0);
  },
  evaluate: () => (0, eval)("1 + 1"),
  newFunction: () => new Function("return 1")(),
  asyncFunction: () => (async () => {}).constructor("return 1")(),
  generatorFunction: () => (function* () {}).constructor("yield 1")().next(),
  hiddenFunction: () => [].flat.constructor("return 1")(),
  dynamicImport: () => import("./other.js"),
  unknownSyscall: () => call("1.0/shutdown", {}),
  syscallOfNothing: () => Convex.asyncSyscall(),
  syscallOfObjects: () => Convex.asyncSyscall({ toString: spin }, { toString: spin }),
  brokenGlobals() {
    JSON.stringify = spin;
    JSON.parse = spin;
    Promise.prototype.then = throwing;
    Array.prototype.map = null;
    Array.prototype[Symbol.iterator] = null;
    Object.defineProperty(Object.prototype, "then", { get: throwing, configurable: true });
    Object.defineProperty(Object.prototype, "message", { get: spin, configurable: true });
    globalThis.Convex = undefined;
    throw new Error("broken");
  },
  brokenError() {
    Error.captureStackTrace = throwing;
    Error.stackTraceLimit = { valueOf: throwing };
    Object.defineProperty(Error.prototype, "name", { get: throwing });
    throw new Error("broken");
  },

  // Past every limit of the heap: V8 itself gives up.
  split: () => "x".repeat(2 ** 28).split(""),
  fill: () => new Array(1.2e8).fill(1),
};

export const query = register("Query", ({ how }) => ways[how]());

/** Writes first, then does it. */
export const mutation = register("Mutation", async ({ how }) => {
  await insert(`before ${how}`);
  return await ways[how]();
});

/** What the next call sees: nothing of the last one. */
export const next = register("Query", async ({ n }) => {
  const seen = [globalThis.seen, Object.prototype.message, [n].map((value) => value + 1)[0]];
  globalThis.seen = true;
  return seen;
});

export const write = register("Mutation", async ({ text }) => (await insert(text))._id);
export const count = register("Query", () => call("1.0/count", { table: "notes" }));

/** Catches whatever its write throws. */
export const swallow = register("Mutation", async ({ text }) => {
  try {
    await insert(text);
  } catch (error) {
    return `swallowed ${error}`;
  }
  return "written";
});

export const notJson = Object.assign(register("Query", () => null), { invokeQuery: async () => "{" });

/** Starts a write and does not wait for it. */
export const unawaited = register("Mutation", async () => {
  insert("not awaited");
  return null;
});
