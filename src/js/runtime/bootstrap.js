// Builds the globals that functions see. Evaluates to a function that the host calls once per context:
// `host` holds the native operations (no code of a deployment can reach it), `importTime` is what the clock
// shows while modules are imported. Returns what the host needs to drive a call. What is seldom used sits in
// files of its own, evaluated when a global is first touched.
(function bootstrap(host, importTime) {
  "use strict";

  const observed = { time: false, randomness: false };
  let running = false;
  let clock = importTime;

  const define = (target, name, value) =>
    Object.defineProperty(target, name, { value, writable: true, enumerable: false, configurable: true });

  let operations;
  const web = () => (operations ??= host.web());

  // What a file of the runtime gives, evaluated at its first use.
  const used = Object.create(null);
  const use = (file) => (used[file] ??= host.load(file)(web(), shared));

  // Defines globals that evaluate their file of the runtime when first read. A frozen global object keeps the
  // accessors, which then give the same values.
  const defineLazily = (file, names) => {
    for (const name of names) {
      Object.defineProperty(globalThis, name, {
        get() {
          const value = use(file)[name];
          Reflect.defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
          return value;
        },
        set(value) {
          define(globalThis, name, value);
        },
        enumerable: false,
        configurable: true,
      });
    }
  };

  // What functions must not use ends them: they can not catch it.
  const notInFunctions = (what) =>
    new Error(`Can't use ${what} in queries and mutations. Please consider using an action.`);
  const refuse = (what) => {
    if (!running) throw new Error(`Can't use ${what} at import time.`);
    const error = notInFunctions(what);
    host.end(error);
    throw error;
  };
  const notImplemented = (what, of) => {
    throw new Error(`Not implemented: ${what} for ${of}. Please remove its use from your functions.`);
  };

  const now = () => {
    if (running) observed.time = true;
    return clock;
  };

  const randomBytes = (view) => {
    if (running) observed.randomness = true;
    host.random(view);
  };

  const inspect = (value) => {
    switch (typeof value) {
      // The usual ones by hand: the formatter is evaluated for those that need it.
      case "string":
        if (value.length < 100 && /^[\x20-\x7e]*$/.test(value) && !/['\\]/.test(value)) return `'${value}'`;
        break;
      case "boolean":
      case "undefined":
        return `${value}`;
      case "number":
        if (value !== 0) return `${value}`;
        break;
    }
    return use("inspect").inspect(value);
  };

  const encodeUtf8 = (text) => {
    const bytes = new Uint8Array(web().utf8Length(text));
    web().writeUtf8(text, bytes);
    return bytes;
  };

  const shared = { use, now, randomBytes, notInFunctions, refuse, notImplemented, encodeUtf8 };

  // The clock: stands still during a call.
  host.load("clock")(now);

  // Random numbers come from the call's seed, 64 at a time: 53 bits each.
  const RANDOM_WORDS = 128;
  let words;
  let nextWord = RANDOM_WORDS;
  define(Math, "random", function random() {
    if (running) observed.randomness = true;
    if (nextWord >= RANDOM_WORDS) {
      words ??= new Uint32Array(RANDOM_WORDS);
      host.random(words);
      nextWord = 0;
    }
    const high = words[nextWord] >>> 5;
    const low = words[nextWord + 1] >>> 6;
    nextWord += 2;
    return (high * 0x4000000 + low) / 0x20000000000000;
  });

  // Garbage collection must not be visible to functions.
  globalThis.WeakRef = class WeakRef {
    #target;
    constructor(target) {
      if ((typeof target !== "object" || target === null) && typeof target !== "function" && typeof target !== "symbol") {
        throw new TypeError("WeakRef: target must be an object");
      }
      this.#target = target;
    }
    deref() {
      return this.#target;
    }
    get [Symbol.toStringTag]() {
      return "WeakRef";
    }
  };
  globalThis.FinalizationRegistry = class FinalizationRegistry {
    constructor(callback) {
      if (typeof callback !== "function") throw new TypeError("FinalizationRegistry: cleanup must be callable");
    }
    register() {}
    unregister() {
      return false;
    }
    get [Symbol.toStringTag]() {
      return "FinalizationRegistry";
    }
  };
  const { Atomics } = globalThis;
  const removed = ["Atomics", "SharedArrayBuffer"];
  for (const name of removed) delete globalThis[name];

  const log = (level, args) => host.log(level, args.map(inspect).join(" "));
  // The clock stands still, so a timer always shows 0.
  const timers = new Set();
  const elapsed = (label, args) => {
    if (timers.has(label)) log("INFO", [`${label}: 0ms`, ...args]);
    else log("WARN", [`Timer '${label}' does not exist`]);
    return timers.has(label);
  };
  globalThis.console = {
    debug: (...args) => log("DEBUG", args),
    error: (...args) => log("ERROR", args),
    info: (...args) => log("INFO", args),
    log: (...args) => log("LOG", args),
    warn: (...args) => log("WARN", args),
    trace: (...args) => log("LOG", [...args, new Error("Trace").stack]),
    time: (label = "default") => {
      if (timers.has(`${label}`)) log("WARN", [`Timer '${label}' already exists`]);
      else timers.add(`${label}`);
    },
    timeLog: (label = "default", ...args) => void elapsed(`${label}`, args),
    timeEnd: (label = "default") => {
      if (elapsed(`${label}`, [])) timers.delete(`${label}`);
    },
  };

  globalThis.self = globalThis;
  globalThis.process = {
    env: new Proxy(Object.create(null), {
      get: (_, name) => (typeof name === "string" ? host.environmentVariable(name) : undefined),
      has: (_, name) => typeof name === "string" && host.environmentVariable(name) !== undefined,
      set: () => false,
      defineProperty: () => false,
      deleteProperty: () => false,
    }),
  };
  globalThis.structuredClone = function structuredClone(value, options) {
    if (options?.transfer?.length > 0) notImplemented("transfer", "structuredClone");
    try {
      return web().structuredClone(value);
    } catch (error) {
      if (error?.name !== "DataCloneError") throw error;
      const { DOMException } = use("events");
      throw new DOMException(error.message, "DataCloneError");
    }
  };
  globalThis.fetch = async function fetch() {
    refuse("fetch()");
  };
  globalThis.setTimeout = function setTimeout() {
    refuse("setTimeout()");
  };
  globalThis.setInterval = function setInterval() {
    refuse("setInterval()");
  };
  globalThis.clearTimeout = function clearTimeout() {};
  globalThis.clearInterval = function clearInterval() {};
  defineLazily("crypto", ["crypto", "Crypto", "SubtleCrypto", "CryptoKey"]);
  defineLazily("encoding", ["TextEncoder", "TextDecoder", "atob", "btoa"]);
  defineLazily("url", ["URL", "URLSearchParams"]);
  defineLazily("events", ["DOMException", "Event", "EventTarget", "AbortController", "AbortSignal"]);
  defineLazily("storage", ["AsyncLocalStorage", "AsyncResource"]);
  defineLazily("blob", ["Blob", "File", "FormData"]);
  defineLazily("fetch", ["Headers", "Request", "Response"]);
  defineLazily("performance", ["performance", "Performance", "PerformanceEntry", "PerformanceMark", "PerformanceMeasure"]);
  defineLazily("streams", [
    "ReadableStream", "ReadableStreamBYOBReader", "ReadableStreamDefaultReader", "TextDecoderStream",
    "TextEncoderStream", "TransformStream", "WritableStream", "WritableStreamDefaultWriter",
  ]);

  // What npm's server library talks to.
  globalThis.Convex = {
    syscall: (op, args) => host.syscall(op, args),
    asyncSyscall: (op, args) => host.asyncSyscall(op, args),
    jsSyscall: (op) => {
      throw new Error(`Unknown operation ${op}`);
    },
  };

  // Hidden from loops over the global object, as built-ins are.
  for (const name of Object.keys(globalThis)) Object.defineProperty(globalThis, name, { enumerable: false });

  // The one kind of function that an export is: "Query", "Mutation", "Action" or undefined.
  const kindOf = (value) => {
    if (value === null || (typeof value !== "object" && typeof value !== "function")) return undefined;
    const kinds = ["Query", "Mutation", "Action"].filter((kind) => value[`is${kind}`] === true);
    return kinds.length === 1 ? kinds[0] : undefined;
  };

  return {
    observed,

    // Makes the context ready to be stored in an image; false: it cannot be. V8 completes Atomics in each copy.
    beforeImage() {
      if (removed.some((name) => Object.hasOwn(globalThis, name)) || !Object.isExtensible(globalThis)) return false;
      define(globalThis, "Atomics", Atomics);
      return true;
    },

    // In a copy of a stored context: takes away what V8 has added.
    afterImage() {
      for (const name of removed) delete globalThis[name];
    },

    // Makes the context ready for another call.
    reset() {
      running = false;
      clock = importTime;
      nextWord = RANDOM_WORDS;
      observed.time = observed.randomness = false;
      timers.clear();
      used.performance?.forget();
    },

    // Starts the export `name` of a module; gives its promise, or a string that says why it can not be run.
    start(exports, path, name, kind, args, time) {
      if (!Object.hasOwn(exports, name)) return `Couldn't find ${JSON.stringify(name)} in module "${path}".`;
      const target = exports[name];
      const actual = kindOf(target);
      if (actual === undefined) return `"${name}" in module "${path}" is not a query, mutation or action.`;
      if (actual !== kind) return `Trying to execute ${path}:${name} as ${kind}, but it is defined as ${actual}.`;
      running = true;
      clock = Math.trunc(time);
      nextWord = RANDOM_WORDS;
      return Promise.resolve(target[`invoke${kind}`](args));
    },

    // Lists the functions a module exports: a JSON text, and their handlers for the host to locate.
    analyze(exports) {
      const functions = [];
      for (const name of Object.keys(exports)) {
        const value = exports[name];
        const udfType = kindOf(value);
        if (udfType === undefined || (value.isPublic === true && value.isInternal === true)) continue;
        const visibility = value.isPublic === true ? "public" : value.isInternal === true ? "internal" : null;
        const exported = (member) => (typeof value[member] === "function" ? value[member]() : null);
        functions.push({ name, udfType, visibility, args: exported("exportArgs"), returns: exported("exportReturns") });
      }
      return JSON.stringify(functions);
    },

    // The JSON text of a schema module.
    exportSchema(exports) {
      const schema = exports.default;
      if (schema === null || typeof schema !== "object" || typeof schema.export !== "function") {
        throw new Error("The default export of the schema file must be the result of defineSchema(...)");
      }
      return schema.export();
    },

    // The JSON text of what auth.config.js exports.
    exportAuthConfig(exports) {
      return JSON.stringify(exports.default);
    },

    // Header and stack of something thrown, and the data of a ConvexError (JSON text).
    describe(thrown) {
      let header;
      let stack = null;
      let data = null;
      if (thrown instanceof Error || (typeof thrown === "object" && thrown !== null && "message" in thrown)) {
        const name = thrown.name === undefined ? "Error" : `${thrown.name}`;
        const message = thrown.message === undefined ? "" : `${thrown.message}`;
        header = name === "" ? message : message === "" ? name : `${name}: ${message}`;
        if (typeof thrown.stack === "string") stack = thrown.stack;
        const symbol = thrown.ConvexErrorSymbol;
        if (typeof symbol === "symbol" && thrown[symbol] === true && typeof thrown.data === "string") data = thrown.data;
      } else {
        header = typeof thrown === "string" ? thrown : inspect(thrown);
      }
      return [header, stack, data];
    },
  };
})
