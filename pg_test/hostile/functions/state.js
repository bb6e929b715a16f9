// Functions that leave state wherever they can, and tell what they find.
import { register } from "./register.js";

let calls = 0;
const kept = [];
const atImport = [Date.now(), Math.random(), Math.random()];
console.log("imported", atImport[0]);

/** What an earlier call may have left: nothing of it may show. */
const found = () => ({
  module: calls,
  kept: kept.length,
  global: globalThis.left ?? null,
  variable: typeof leftVariable,
  prototype: ({}).left ?? null,
  array: [].left ?? null,
  method: [1].map((value) => value)[0],
  error: new Error("x").left ?? null,
  generator: Object.getPrototypeOf(function* () {}).left ?? null,
  iterator: Object.getPrototypeOf([][Symbol.iterator]()).left ?? null,
  promise: Promise.prototype.left ?? null,
  console: console.left ?? null,
  convex: Convex.left ?? null,
  symbol: globalThis[Symbol.for("left")] ?? null,
  regexp: RegExp.left ?? null,
  match: RegExp.$1 ?? "",
  stackTraceLimit: Error.stackTraceLimit,
  prepare: typeof Error.prepareStackTrace,
  lazy: URL.left ?? null,
  json: JSON.stringify({ a: 1 }),
});

const attempt = (change) => {
  try {
    change();
  } catch {
    // A frozen object says no.
  }
};

const leave = () => {
  calls += 1;
  kept.push(calls);
  attempt(() => { globalThis.left = 1; });
  attempt(() => { Object.defineProperty(globalThis, "leftVariable", { value: 1 }); });
  attempt(() => { Object.prototype.left = 1; });
  attempt(() => { Array.prototype.left = 1; });
  attempt(() => { Array.prototype.map = () => ["changed"]; });
  attempt(() => { Error.prototype.left = 1; });
  attempt(() => { Object.getPrototypeOf(function* () {}).left = 1; });
  attempt(() => { Object.getPrototypeOf([][Symbol.iterator]()).left = 1; });
  attempt(() => { Promise.prototype.left = 1; });
  attempt(() => { console.left = 1; });
  attempt(() => { Convex.left = 1; });
  attempt(() => { globalThis[Symbol.for("left")] = 1; });
  attempt(() => { RegExp.left = 1; });
  attempt(() => { /(secret)/.exec("secret"); });
  attempt(() => { Error.stackTraceLimit = 0; });
  attempt(() => { Error.prepareStackTrace = () => "changed"; });
  attempt(() => { URL.left = 1; });
  attempt(() => { JSON.stringify = () => "null"; });
};

export const look = register("Query", () => ({ ...found(), atImport, now: Date.now(), random: Math.random() }));

const { stringify } = JSON;
export const leaveAndLook = Object.assign(register("Query", () => null), {
  invokeQuery: async () => {
    const before = stringify(found());
    leave();
    return before;
  },
});

/** Leaves work in every queue, and fails. */
export const leaveWork = register("Query", () => {
  const later = () => {
    calls += 100;
    console.log("late");
  };
  Promise.resolve().then(later);
  Convex.asyncSyscall("1.0/getUserIdentity", "{}").then(later);
  Promise.reject(new Error("left behind"));
  throw new Error("failed");
});

export const leaveWorkAndLoop = register("Query", () => {
  Promise.resolve().then(() => {
    calls += 100;
    console.log("late");
  });
  for (;;) {
    // Until it is ended.
  }
});
