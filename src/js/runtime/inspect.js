// Formats values for the console as npm's object-inspect does: strings quoted, objects and arrays written out on
// one line, nested ones to a bounded depth.
(function inspector() {
  "use strict";

  const MAX_DEPTH = 5;
  const MAX_STRING = 32768;
  const MAX_ITEMS = 1000;

  const ESCAPES = { "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r" };
  const escape = (character) =>
    ESCAPES[character] ?? `\\x${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;

  const quote = (text) => {
    const rest = text.length - MAX_STRING;
    const shown = rest > 0 ? text.slice(0, MAX_STRING) : text;
    const quoted = `'${shown.replace(/(['\\])/g, "\\$1").replace(/[\x00-\x1f]/g, escape)}'`;
    return rest > 0 ? `${quoted}... ${rest} more character${rest > 1 ? "s" : ""}` : quoted;
  };

  const tag = (value) => Object.prototype.toString.call(value).slice(8, -1);

  const primitive = (value) => {
    switch (typeof value) {
      case "string": return quote(value);
      case "number": return Object.is(value, -0) ? "-0" : `${value}`;
      case "bigint": return `${value}n`;
      case "symbol": return value.toString();
      default: return `${value}`;
    }
  };

  const container = (open, parts, close) =>
    parts.length === 0 ? `${open}${close}` : `${open} ${parts.join(", ")} ${close}`;

  const bounded = (items, show) => {
    const parts = [];
    for (const item of items) {
      if (parts.length === MAX_ITEMS) {
        parts.push("...");
        break;
      }
      parts.push(show(item));
    }
    return parts;
  };

  // What stands before the braces of an object that is not a plain one.
  const label = (value) => {
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Object.prototype) return "";
    const name = typeof value.constructor === "function" && value.constructor.name;
    const tagged = prototype === null ? "Object: null prototype" : Symbol.toStringTag in value ? tag(value) : "";
    return `${name ? `${name} ` : ""}${tagged ? `[${tagged}] ` : ""}`;
  };

  const format = (value, depth, seen) => {
    if (value === null || (typeof value !== "object" && typeof value !== "function")) return primitive(value);
    if (depth >= MAX_DEPTH && typeof value === "object") return Array.isArray(value) ? "[Array]" : "[Object]";
    if (seen.includes(value)) return "[Circular]";
    const inner = [...seen, value];
    const show = (item) => format(item, depth + 1, inner);
    const key = (name) => (typeof name === "symbol" ? `[${name.toString()}]` : /[^\w$]/.test(name) ? quote(name) : name);
    const properties = (names) => bounded(names, (name) => `${key(name)}: ${show(value[name])}`);
    const symbols = () =>
      Object.getOwnPropertySymbols(value).filter((name) => Object.prototype.propertyIsEnumerable.call(value, name));
    const own = () => properties([...Object.keys(value), ...symbols()]);

    if (typeof value === "function") {
      const parts = own();
      const name = value.name ? `: ${value.name}` : " (anonymous)";
      return `[Function${name}]${parts.length > 0 ? ` { ${parts.join(", ")} }` : ""}`;
    }
    if (Array.isArray(value)) {
      const items = bounded(value.keys(), (index) => (Object.hasOwn(value, index) ? show(value[index]) : ""));
      const extra = properties([...Object.keys(value).filter((name) => !/^\d+$/.test(name)), ...symbols()]);
      return container("[", [...items, ...extra], "]");
    }
    if (value instanceof Error) {
      const parts = own();
      return parts.length > 0 ? `{ [${value}] ${parts.join(", ")} }` : `[${value}]`;
    }
    if (typeof value.inspect === "function") return `${value.inspect()}`;
    if (value instanceof Map) {
      return `Map (${value.size}) {${bounded(value, ([name, item]) => `${show(name)} => ${show(item)}`).join(", ")}}`;
    }
    if (value instanceof Set) return `Set (${value.size}) {${bounded(value, show).join(", ")}}`;
    if (value instanceof WeakMap || value instanceof WeakSet) return `${tag(value)} { ? }`;
    if (value instanceof Date || value instanceof RegExp) return `${value}`;
    if ([String, Number, Boolean, BigInt, Symbol].some((type) => value instanceof type)) {
      return `Object(${primitive(value.valueOf())})`;
    }
    return container(`${label(value)}{`, own(), "}");
  };

  return { inspect: (value) => format(value, 0, []) };
})
