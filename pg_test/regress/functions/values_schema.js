// Tables for hard values. In the second version fields that have columns may hold anything else, too.
const VERSION = 1;
const optional = (fieldType) => ({ fieldType, optional: true });
const union = (...value) => ({ type: "union", value });
const [text, number, any, nil] = ["string", "number", "any", "null"].map((type) => ({ type }));
const orNull = (type) => optional(union({ type }, nil));
const typed = {
  text: orNull("string"),
  number: orNull("number"),
  integer: orNull("bigint"),
  flag: orNull("boolean"),
  raw: orNull("bytes"),
  any: optional(any),
  mixed: optional(union(text, number)),
};
const anything = Object.fromEntries(Object.keys(typed).map((name) => [name, optional(any)]));
const named = Object.fromEntries(
  ["ctid", "xmin", "tableoid", "cmax", "mixedCase", "mixedcase", 'quo"te', "it's", "a.b", "", "select", "user", "extra", "n".repeat(1024)]
    .map((name) => [name, optional(any)]),
);
const wide = Object.fromEntries(
  Array.from({ length: 1022 }, (_, n) => [`f${String(n).padStart(4, "0")}`, optional(text)]),
);
const table = (tableName, value, ...indexes) => ({
  tableName,
  documentType: { type: "object", value },
  indexes: indexes.map(([indexDescriptor, ...fields]) => ({ indexDescriptor, fields })),
  searchIndexes: [],
  vectorIndexes: [],
});
export default {
  export: () =>
    JSON.stringify({
      schemaValidation: true,
      tables: [
        table(
          "hard",
          { ...typed, ...named, list: optional({ type: "array", value: any }), widened: optional(VERSION === 1 ? text : union(text, number)) },
          ["by_text", "text"],
        ),
        table("generated", VERSION === 1 ? typed : anything, ["by_any", "any"]),
        table("wide", wide),
        table(`t${"a".repeat(63)}`, { text: optional(text) }, [`i${"b".repeat(63)}`, "text"]),
        table(`t${"a".repeat(62)}b`, { text: optional(text) }),
      ],
    }),
};
