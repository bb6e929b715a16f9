// The globals of functions written in LANGUAGE js, on top of what JavaScript itself has. Evaluates to a function
// that the host calls once per context, before it hardens the context: nothing here may keep state of a call.
// `host` holds the native operations; no function can reach it.
(function language(host) {
  "use strict";

  const define = (target, name, value) =>
    Object.defineProperty(target, name, { value, writable: true, enumerable: false, configurable: true });

  // The clock stands still during a statement of the client, like statement_timestamp().
  host.load("clock")(host.now);
  define(Math, "random", () => host.random());

  // Statements. What a call returns is new, so it belongs to the call alone.
  const list = (params) => {
    if (!Array.isArray(params)) throw new TypeError("the parameters of a statement must be an array");
    return params;
  };
  const sql = (strings, ...values) => {
    if (!Array.isArray(strings) || !Array.isArray(strings.raw)) {
      throw new TypeError("sql is a template tag: sql`SELECT ...`; for a text use sql.query(text, params)");
    }
    let text = strings[0];
    for (let i = 1; i < strings.length; i++) text += `$${i}${strings[i]}`;
    return host.query(text, values);
  };
  sql.query = (text, params = []) => host.query(text, list(params));
  sql.execute = (text, params = []) => host.execute(text, list(params));
  define(globalThis, "sql", sql);

  const inspector = host.load("inspect")(undefined, {});
  const shown = (value) => (typeof value === "string" ? value : inspector.inspect(value));
  const writer = (level) => (...args) => void host.notice(level, args.map(shown).join(" "));
  define(globalThis, "console", {
    debug: writer("debug"),
    error: writer("warning"),
    info: writer("info"),
    log: writer("notice"),
    warn: writer("warning"),
  });

  const asText = (value) => (typeof value === "string" ? value : undefined);

  return {
    // Message, stack, SQLSTATE, detail and hint of something thrown.
    describe(thrown) {
      if (typeof thrown !== "object" || thrown === null) return [`${String(thrown)}`];
      const name = thrown.name === undefined ? "Error" : `${thrown.name}`;
      const message = thrown.message === undefined ? "" : `${thrown.message}`;
      const plain = name === "Error" || name === "";
      const header = "message" in thrown ? (plain ? message : message === "" ? name : `${name}: ${message}`) : shown(thrown);
      return [header, asText(thrown.stack), asText(thrown.sqlstate), asText(thrown.detail), asText(thrown.hint)];
    },

    // The function that gives the next step of anything that can be iterated; undefined for what can not.
    iterate(value) {
      if (value === null || value === undefined || typeof value === "string") return undefined;
      const method = value[Symbol.iterator];
      if (typeof method !== "function") return undefined;
      const iterator = Reflect.apply(method, value, []);
      const next = iterator.next;
      return () => {
        const step = Reflect.apply(next, iterator, []);
        return step.done ? undefined : [step.value];
      };
    },

    bytes: (length) => new Uint8Array(length),
  };
})
