// What code sees of its surroundings, at import and in a call: kinds of values by their ways from the global object.
import { register } from "./register.js";

const kinds = () => {
  const seen = new Set();
  const found = [];
  const pending = [["globalThis", globalThis]];
  for (const [way, value] of pending) {
    if (found.length > 20000 || value === null || (typeof value !== "object" && typeof value !== "function") || seen.has(value)) continue;
    seen.add(value);
    for (const key of Reflect.ownKeys(value)) {
      const property = Object.getOwnPropertyDescriptor(value, key);
      const name = `${way}.${String(key)}`;
      const flags = ["writable", "enumerable", "configurable"].filter((flag) => property[flag]).join(" ");
      found.push(`${name}: ${property.get ? "accessor" : typeof property.value} ${flags}`);
      pending.push([name, property.value]);
    }
  }
  return found.filter((line) => !line.startsWith("globalThis.Convex")).sort();
};

const atImport = {
  time: Date.now(),
  random: [Math.random(), crypto.getRandomValues(new Uint8Array(4)).join()],
  url: new URL("../x", "https://example.org/a/b").href,
  bytes: new TextEncoder().encode("é").join(),
  map: [...new Map([["a", { b: 1n }]]).keys()],
  symbol: Symbol.for("probe").description,
  buffer: new Uint8Array([1, 2, 3]),
};
const classes = class Counter {
  static made = 0;
  #value = ++Counter.made;
  get value() {
    return this.#value;
  }
};
const made = new classes();
function* numbers() {
  yield 1;
  yield 2;
}
const begun = numbers();
begun.next();
let settled = "pending";
Promise.resolve("done").then((value) => {
  settled = value;
});

export const look = register("Query", () => ({
  atImport: { ...atImport, buffer: [...atImport.buffer] },
  value: made.value,
  next: begun.next().value,
  settled,
  stack: new Error("x").stack.split("\n").length,
  wait: typeof Atomics + typeof SharedArrayBuffer,
  newest: [typeof Promise.try, typeof Float16Array, typeof queueMicrotask, typeof Symbol.dispose, typeof WebAssembly],
  kinds: kinds(),
}));
