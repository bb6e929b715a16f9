// Another module of the same deployment; it shares a dependency with the first.
import { register } from "./register.js";

let calls = 0;

export const look = register("Query", () => {
  const seen = { module: calls, global: globalThis.left ?? null, prototype: ({}).left ?? null, json: JSON.stringify({ a: 1 }) };
  calls += 1;
  return seen;
});
