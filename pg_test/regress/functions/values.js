// Hard values: each is written by a function and read back in every way there is. Also generated ones.
const register = (kind, handler) =>
  Object.assign(() => {}, {
    [`is${kind}`]: true,
    isPublic: true,
    [`invoke${kind}`]: async (text) => JSON.stringify((await handler(JSON.parse(text)[0])) ?? null),
    exportArgs: () => JSON.stringify({ type: "any" }),
    exportReturns: () => "null",
  });
const call = async (op, args) => JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(args)));
const insert = (table, value) => call("1.0/insert", { table, value }).then(({ _id }) => _id);

/** Numbers from 0 to 1, always the same for a seed. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Text that does not compress. */
function noise(seed, length) {
  const next = generator(seed);
  return Array.from({ length }, () => String.fromCharCode(33 + Math.floor(next() * 94))).join("");
}

const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const ofView = (write) => {
  const view = new DataView(new ArrayBuffer(8));
  write(view);
  return base64(new Uint8Array(view.buffer));
};
const int64 = (value) => ({ $integer: ofView((view) => view.setBigInt64(0, value, true)) });
const float = (value) =>
  Number.isFinite(value) && !Object.is(value, -0) ? value : { $float: ofView((view) => view.setFloat64(0, value, true)) };
const bits = (value) => ({ $float: ofView((view) => view.setBigUint64(0, value, true)) });
const bytes = (...values) => ({ $bytes: base64(values) });
const nested = (levels) => Array.from({ length: levels - 1 }).reduce((inner) => [inner], []);
const fields = (count, value) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`f${String(n).padStart(4, "0")}`, value(n)]));
const LONG_TABLE = `t${"a".repeat(63)}`;

/** [name, table, what makes the document] */
const CASES = [
  ["nothing", "hard", () => ({})],
  ["null in columns", "hard", () => ({ text: null, number: null, integer: null, flag: null, raw: null, any: null })],
  ["empty values", "hard", () => ({ text: "", raw: bytes(), any: {}, list: [] })],
  ["widened to a number", "hard", () => ({ widened: 7 })],
  ["widened, still text", "hard", () => ({ widened: "text" })],
  ["mixed: text", "hard", () => ({ mixed: "7" })],
  ["mixed: number", "hard", () => ({ mixed: 7 })],
  ["negative zero", "hard", () => ({ number: float(-0), any: float(-0) })],
  ["NaN", "hard", () => ({ number: float(Number.NaN), any: [float(Number.NaN)] })],
  ["NaN of other bits", "hard", () => ({ number: bits(0xfff8000000000001n) })],
  ["infinities", "hard", () => ({ number: float(Number.POSITIVE_INFINITY), any: float(Number.NEGATIVE_INFINITY) })],
  ["least and greatest numbers", "hard", () => ({ number: 5e-324, any: [1.7976931348623157e308, -5e-324, 0.1, 1e21, 2 ** 53] })],
  ["least int64", "hard", () => ({ integer: int64(-(2n ** 63n)), any: int64(-(2n ** 63n)) })],
  ["greatest int64", "hard", () => ({ integer: int64(2n ** 63n - 1n), any: int64(2n ** 63n - 1n) })],
  ["all bytes", "hard", () => ({ raw: bytes(...Array.from({ length: 256 }, (_, n) => n)), any: bytes(0) })],
  ["emoji", "hard", () => ({ text: "\u{1f600} é \u{10ffff} ﬀ", any: { text: "\u{1f600}" } })],
  ["control characters", "hard", () => ({ text: "\u0001\t\n\r\\N\\.\u007f", any: ["\u0001\\\"'"] })],
  ["names of system columns", "hard", () => ({ ctid: "a", xmin: 1, tableoid: null, cmax: [1] })],
  ["names with capitals and quotes", "hard", () => ({ mixedCase: "a", mixedcase: "b", 'quo"te': "c", "it's": "d", "a.b": "e", "": "f" })],
  ["reserved words", "hard", () => ({ select: "a", user: "b", extra: "c" })],
  ["underscores within", "hard", () => ({ any: { _id: "a", _extra: { _x: 1 } } })],
  ["a name of 1,024 characters", "hard", () => ({ ["n".repeat(1024)]: "a" })],
  ["key order", "hard", () => ({ any: { b: 1, a: 2, B: 3, "": 4, 10: 5, 9: 6 } })],
  ["nesting 16", "hard", () => ({ any: nested(15) })],
  ["8,192 elements", "hard", () => ({ any: Array.from({ length: 8192 }, (_, n) => n) })],
  ["almost 1 MiB", "hard", () => ({ text: noise(1, 2 ** 20 - 200) })],
  ["1,024 fields", "loose", () => fields(1024, (n) => n)],
  ["1,024 fields, typed", "wide", () => fields(1022, (n) => `text ${n}`)],
  ["450 long strings", "wide", () => fields(450, (n) => noise(n, 2200))],
  ["3 kB in an index", "hard", () => ({ text: noise(3, 3000) })],
  ["3 kB in an index, another end", "hard", () => ({ text: `${noise(3, 3000)}!` })],
  ["a table of 64 characters", LONG_TABLE, () => ({ text: "a" })],
  ["a table without a schema", "loose", () => ({ any: int64(1n), text: "a", more: null })],
];

const REFUSED = {
  "nesting 17": () => ({ any: nested(16) }),
  "1,025 fields": () => ({ any: fields(1025, (n) => n) }),
  "8,193 elements": () => ({ any: Array.from({ length: 8193 }, () => 0) }),
  "a name of 1,025 characters": () => ({ ["n".repeat(1025)]: 1 }),
  "a name with $": () => ({ $name: 1 }),
  "a name with _": () => ({ _name: 1 }),
  "a name that is not ASCII": () => ({ "é": 1 }),
  "more than 1 MiB": () => ({ text: "x".repeat(2 ** 20) }),
  "a field too many": () => ({ unknown: 1 }),
  "another type": () => ({ number: "1" }),
  "an int64 of 7 bytes": () => ({ integer: { $integer: "AAAAAAAAAA==" } }),
  "a commit timestamp": () => ({ integer: { $commitTs: null } }),
  "a document of 300 levels": () => ({ any: nested(300) }),
};

/** JSON text that is the same for the same value. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join()}}`;
}
const withoutSystem = ({ _id, _creationTime, ...rest }) => rest;

async function firstBy(table, text) {
  const query = {
    source: { type: "IndexRange", indexName: `${table}.by_text`, range: [{ type: "Eq", fieldPath: "text", value: text }], order: "asc" },
    operators: [{ limit: 2 }],
  };
  const { queryId } = JSON.parse(Convex.syscall("1.0/queryStream", JSON.stringify({ query })));
  const first = await call("1.0/queryStreamNext", { queryId });
  Convex.syscall("1.0/queryCleanup", JSON.stringify({ queryId }));
  return first.value;
}

export const names = register("Query", () => CASES.map(([name]) => name));
export const store = register("Mutation", async ({ name }) => {
  const [, table, document] = CASES.find((entry) => entry[0] === name);
  return insert(table, document());
});
/** Whether a stored document is what was written: `same`, or what is found instead. */
export const check = register("Query", async ({ name, id }) => {
  const [, table, make] = CASES.find((entry) => entry[0] === name);
  const document = make();
  const found = await call("1.0/get", { id });
  if (found === null) return "nothing";
  if (canonical(withoutSystem(found)) !== canonical(document)) return canonical(withoutSystem(found)).slice(0, 500);
  if (table !== "hard") return "same";
  const byText = await firstBy(table, document.text === undefined ? { $undefined: null } : document.text);
  return byText !== null && canonical(byText.text ?? 0) === canonical(document.text ?? 0) ? "same" : "not in the index";
});
export const refused = register("Query", () => Object.keys(REFUSED));
export const refusal = register("Mutation", async ({ name }) => {
  try {
    await insert("hard", REFUSED[name]());
    return "accepted";
  } catch (error) {
    return error.message.split("\n")[0].replace(/n{40,}/g, "n...");
  }
});
export const cannotHold = register("Mutation", ({ text, at, id }) => {
  const value = JSON.parse(`{${JSON.stringify(at)}: [1, {"b": "${text}"}]}`);
  return id === undefined ? insert("hard", value) : call("1.0/shallowMerge", { id, value });
});

/** A value of a field, of its type or any other. */
function anyValue(next, depth = 0) {
  const one = (list) => list[Math.floor(next() * list.length)];
  const kind = Math.floor(next() * (depth < 3 ? 9 : 7));
  switch (kind) {
    case 0: return null;
    case 1: return next() < 0.5;
    case 2: return float(one([0, -0, 1, -1.5, Number.NaN, Infinity, -Infinity, next() * 1e300, next() * 1e-300, Math.floor(next() * 2 ** 53)]));
    case 3: return int64(BigInt.asIntN(64, BigInt(Math.floor(next() * 2 ** 53)) * BigInt(Math.floor(next() * 2 ** 53))));
    case 4: return one(["", "a", "A", "é", "\u{1f600}", "\\", '"', "a\u0001", noise(Math.floor(next() * 1e6), Math.floor(next() * 60))]);
    case 5: return bytes(...Array.from({ length: Math.floor(next() * 12) }, () => Math.floor(next() * 256)));
    case 6: return {};
    case 7: return Array.from({ length: Math.floor(next() * 4) }, () => anyValue(next, depth + 1));
    default:
      return Object.fromEntries(Array.from({ length: Math.floor(next() * 4) }, () => [one(["a", "b", "_c", "d e", "F"]), anyValue(next, depth + 1)]));
  }
}

/** Inserts generated documents, reads each back, and answers [id, document as JSON text]. */
export const generate = register("Mutation", async ({ seed, count }) => {
  const next = generator(seed);
  const made = [];
  for (let n = 0; n < count; n++) {
    const document = {};
    for (const name of ["any", "flag", "integer", "mixed", "number", "raw", "text"]) {
      if (next() < 0.6) document[name] = anyValue(next);
    }
    const id = await insert("generated", document);
    const found = withoutSystem(await call("1.0/get", { id }));
    if (canonical(found) !== canonical(document)) {
      throw new Error(`seed ${seed}, document ${n}: ${canonical(document)} came back as ${canonical(found)}`);
    }
    made.push([id, canonical(document)]);
  }
  return made;
});

/** Whether documents in the order of the index ascend as `expected` says. */
export const inOrder = register("Query", async () => {
  const query = { source: { type: "IndexRange", indexName: "generated.by_any", range: [], order: "asc" }, operators: [] };
  const { queryId } = JSON.parse(Convex.syscall("1.0/queryStream", JSON.stringify({ query })));
  const found = [];
  for (;;) {
    const { value, done } = await call("1.0/queryStreamNext", { queryId });
    if (done) return found;
    found.push(canonical(value.any ?? { $undefined: null }));
  }
});
