// Formats values for the console: strings quoted, objects and arrays written out, nested ones to a bounded depth.
(function inspector() {
  "use strict";

  const MAX_DEPTH = 5;
  const MAX_STRING = 32768;
  const MAX_ITEMS = 1000;
  const SINGLE_LINE = 76;

  const ESCAPES = { "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r" };
  const escape = (character) =>
    ESCAPES[character] ?? `\\x${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;

  const quote = (text) => {
    const rest = text.length - MAX_STRING;
    const shown = rest > 0 ? text.slice(0, MAX_STRING) : text;
    const quoted = `'${shown.replace(/(['\\])/g, "\\$1").replace(/[\x00-\x1f]/g, escape)}'`;
    return rest > 0 ? `${quoted}... ${rest} more character${rest > 1 ? "s" : ""}` : quoted;
  };

  const isIdentifier = (name) => /^[A-Za-z_$][\w$]*$/.test(name);
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

  // Joins the parts of a container on one line if short, else one part per line.
  const container = (open, parts, close, depth) => {
    if (parts.length === 0) return `${open}${close}`;
    const line = `${open} ${parts.join(", ")} ${close}`;
    if (line.length <= SINGLE_LINE && !line.includes("\n")) return line;
    const indent = "  ".repeat(depth + 1);
    return `${open}\n${indent}${parts.join(`,\n${indent}`)}\n${"  ".repeat(depth)}${close}`;
  };

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

  const format = (value, depth, seen) => {
    if (value === null || (typeof value !== "object" && typeof value !== "function")) return primitive(value);
    if (seen.includes(value)) return "[Circular]";
    if (depth > MAX_DEPTH) return Array.isArray(value) ? "[Array]" : `[${tag(value)}]`;
    const inner = [...seen, value];
    const show = (item) => format(item, depth + 1, inner);
    const properties = (names) =>
      bounded(names, (name) => `${typeof name === "symbol" ? `[${name.toString()}]` : isIdentifier(name) ? name : quote(name)}: ${show(value[name])}`);
    const own = () => properties([
      ...Object.keys(value),
      ...Object.getOwnPropertySymbols(value).filter((name) => Object.prototype.propertyIsEnumerable.call(value, name)),
    ]);
    if (typeof value === "function") {
      const name = value.name === "" || value.name === undefined ? " (anonymous)" : `: ${value.name}`;
      const parts = own();
      return `[Function${name}]${parts.length > 0 ? ` ${container("{", parts, "}", depth)}` : ""}`;
    }
    if (Array.isArray(value)) {
      const extra = properties(Object.keys(value).filter((key) => !/^\d+$/.test(key)));
      return container("[", [...bounded(value, show), ...extra], "]", depth);
    }
    if (value instanceof Error) {
      const text = typeof value.stack === "string" ? value.stack : `${value}`;
      const parts = own();
      return parts.length > 0 ? `{ [${text}] ${parts.join(", ")} }` : `[${text}]`;
    }
    if (typeof value.inspect === "function" && value.inspect !== format) return `${value.inspect()}`;
    if (value instanceof Map) {
      return container(`Map (${value.size}) {`, bounded(value, ([key, item]) => `${show(key)} => ${show(item)}`), "}", depth);
    }
    if (value instanceof Set) return container(`Set (${value.size}) {`, bounded(value, show), "}", depth);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return `${value}`;
    if (value instanceof WeakMap || value instanceof WeakSet || value instanceof Promise) return `${tag(value)} { ? }`;
    if (value instanceof ArrayBuffer) return `ArrayBuffer { byteLength: ${value.byteLength} }`;
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
      return container(`${tag(value)}(${value.length}) [`, bounded(value, primitive), "]", depth);
    }
    if (value instanceof String || value instanceof Number || value instanceof Boolean) {
      return `Object(${primitive(value.valueOf())})`;
    }
    const prototype = Object.getPrototypeOf(value);
    const name = prototype === null ? "[Object: null prototype]" : value.constructor?.name;
    const plain = prototype === Object.prototype || typeof name !== "string" || name === "";
    return container(plain ? "{" : `${name} {`, own(), "}", depth);
  };

  return { inspect: (value) => format(value, 0, []) };
})
