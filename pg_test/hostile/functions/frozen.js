// Keeps nothing that a call could change; some of its functions try to.
import { insert, register } from "./register.js";

const LIMITS = Object.freeze({ most: 3 });
const words = ["one", "two"];
const options = { deep: { list: [1, 2] } };
const held = (() => {
  const inside = { seen: null };
  return () => inside;
})();

/** Uses what it has. */
export const look = register("Query", () => [LIMITS.most, words, options.deep.list, held()]);

/** Changes what it has, and would see it. Fails where all that is frozen. */
export const leave = register("Query", () => {
  const seen = held().seen;
  held().seen = "left";
  return seen;
});

/** As above, and nobody hears of the failure. */
export const leaveQuietly = register("Query", () => {
  const seen = [options.left ?? null, words.length, Object.prototype.left ?? null];
  Reflect.set(options, "left", "left");
  Reflect.set(Object.prototype, "left", "left");
  try {
    words.push("left");
  } catch {
    return seen;
  }
  return seen;
});

/** Tells where it runs. */
export const differ = register("Query", () => Object.isFrozen(options));

/** Fails by itself, in any context. */
export const fail = register("Query", () => undefined.property);

export const write = register("Mutation", () => {
  options.written = true;
  return options.written;
});

/** Writes to the database only. */
export const note = register("Mutation", async ({ text }) => {
  await insert(text);
  return text;
});

/** Writes to the database, and then changes what it has. */
export const noteAndLeave = register("Mutation", async ({ text }) => {
  await insert(text);
  const seen = held().seen;
  held().seen = text;
  return seen;
});

/** Writes to the database, and fails by itself. */
export const noteAndFail = register("Mutation", async ({ text }) => {
  await insert(text);
  return undefined.property;
});
