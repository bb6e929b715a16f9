// What V8 leaves out of contexts that are to be stored and adds when one is copied: WebAssembly, queueMicrotask,
// the newest methods of built-in objects. Code that is imported meanwhile must not notice. Evaluates to a function
// that the host calls in a context of its own (for `survey`) and in each context that is to be stored.
(function image() {
  "use strict";

  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, isExtensible } = Object;
  const { ownKeys, deleteProperty } = Reflect;
  const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

  // Keys as texts: symbols that are properties of Symbol by their name.
  const symbolNames = new Map();
  for (const name of ownKeys(Symbol)) if (typeof Symbol[name] === "symbol") symbolNames.set(Symbol[name], `@@${name}`);
  const textOf = (key) => (typeof key === "string" ? key : symbolNames.get(key));
  const keyOf = (text) => (text.startsWith("@@") ? Symbol[text.slice(2)] : text);

  // A step from an object to another one: to its prototype, or to what a property holds, gives or is set by.
  const step = (object, [kind, text]) => {
    if (kind === "prototype") return getPrototypeOf(object);
    const key = keyOf(text);
    return key === undefined ? undefined : getOwnPropertyDescriptor(object, key)?.[kind];
  };

  // What the runtime takes away again.
  const removed = ["Atomics", "SharedArrayBuffer"];

  const traps = [];
  let touched = false;
  const trap = () => {
    touched = true;
    throw new Error("not available while a module is stored");
  };

  return {
    // The keys of all objects that can be reached, with the ways to them: a JSON text.
    survey() {
      const reached = new Set();
      const found = [];
      const pending = [[globalThis, []]];
      for (const [object, way] of pending) {
        if (!isObject(object) || reached.has(object)) continue;
        reached.add(object);
        const keys = ownKeys(object).map(textOf).filter((text) => text !== undefined);
        found.push([way, keys]);
        pending.push([getPrototypeOf(object), [...way, ["prototype"]]]);
        for (const text of keys) {
          const property = getOwnPropertyDescriptor(object, keyOf(text));
          for (const kind of ["value", "get", "set"]) pending.push([property[kind], [...way, [kind, text]]]);
        }
      }
      return JSON.stringify(found);
    },

    // Sets a trap in the place of all that a survey of another context has found and that is not here.
    setTraps(survey) {
      for (const [way, keys] of JSON.parse(survey)) {
        const holder = way.reduce((object, to) => (isObject(object) ? step(object, to) : undefined), globalThis);
        if (!isObject(holder)) continue;
        for (const text of keys) {
          const key = keyOf(text);
          if (key === undefined || Object.hasOwn(holder, key)) continue;
          if (holder === globalThis && removed.includes(text)) continue;
          defineProperty(holder, key, { get: trap, set: trap, enumerable: false, configurable: true });
          traps.push([holder, key]);
        }
      }
    },

    // Takes the traps away. Says whether the context may be stored: none was touched, and V8 can add what it adds.
    takeTraps() {
      let untouched = !touched;
      for (const [holder, key] of traps) {
        untouched &&= isExtensible(holder) && getOwnPropertyDescriptor(holder, key)?.get === trap;
        untouched = deleteProperty(holder, key) && untouched;
      }
      return untouched;
    },
  };
})
