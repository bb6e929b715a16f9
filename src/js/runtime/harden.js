// Makes the present realm one that calls can share without seeing each other: every object that a call can reach
// and did not make itself is frozen, the global object included, and the few slots of a realm that hold state of
// past calls are taken away. Evaluates to a function that the host calls once per context, before any code of a
// function runs in it; everything reachable from globals then keeps its present value for good. With a list it is
// only these objects that are frozen, in a realm that is already.
(function harden(made) {
  "use strict";

  const { defineProperty, freeze, getOwnPropertyDescriptor, getPrototypeOf } = Object;
  const { ownKeys, apply } = Reflect;
  const hasOwn = Object.hasOwn;

  const takeAway = () => {
    // What the last match left behind (RegExp.$1, RegExp.lastMatch, ...): one slot per realm.
    const regExpOwn = new Set(["length", "name", "prototype", "escape", Symbol.species]);
    for (const key of ownKeys(RegExp)) {
      if (!regExpOwn.has(key)) delete RegExp[key];
    }
    // It changes a regular expression that is frozen.
    delete RegExp.prototype.compile;
    // Callbacks of finalizers would run in a later call; garbage collection must not be visible at all.
    // Shared memory and WebAssembly bring blocking, threads and memories of their own.
    for (const name of ["Atomics", "SharedArrayBuffer", "WebAssembly"]) delete globalThis[name];
    const isNative = (value) => /\[native code\]/.test(apply(Function.prototype.toString, value, []));
    for (const name of ["WeakRef", "FinalizationRegistry"]) {
      if (typeof globalThis[name] === "function" && isNative(globalThis[name])) delete globalThis[name];
    }
  };

  const reachAll = () => {
    // Intrinsic objects that no global leads to by a chain of properties and prototypes.
    const generator = function* () {};
    const asyncGenerator = async function* () {};
    const hidden = [
      generator,
      generator(),
      asyncGenerator,
      asyncGenerator(),
      async () => {},
      [][Symbol.iterator](),
      ""[Symbol.iterator](),
      new Map()[Symbol.iterator](),
      new Set()[Symbol.iterator](),
      "".matchAll(/x/g),
      Iterator.from({ next() {} }),
      [].values().map((x) => x),
      new Intl.Segmenter().segment(""),
      new Intl.Segmenter().segment("")[Symbol.iterator](),
      Object.getOwnPropertyDescriptor(Function.prototype, "caller")?.get,
    ].flatMap((value) => {
      const chain = [];
      // The objects themselves are this function's own; what they inherit from is shared.
      for (let at = value && getPrototypeOf(value); at; at = getPrototypeOf(at)) chain.push(at);
      return chain;
    });

    // Everything reachable, each once.
    const reached = new Set();
    const pending = [globalThis, ...hidden];
    const visit = (value) => {
      if ((typeof value === "object" && value !== null) || typeof value === "function") pending.push(value);
    };
    while (pending.length > 0) {
      const object = pending.pop();
      if (reached.has(object)) continue;
      reached.add(object);
      visit(getPrototypeOf(object));
      for (const key of ownKeys(object)) {
        const property = getOwnPropertyDescriptor(object, key);
        visit(property.value);
        visit(property.get);
        visit(property.set);
      }
    }
    return reached;
  };

  if (made === undefined) takeAway();
  const reached = made ?? reachAll();

  // A frozen property of a prototype can not be overridden by assigning to an object that inherits it, as in
  // `error.name = ...` or `Point.prototype.toString = ...`. For the names that programs do assign, the property
  // becomes an accessor whose setter makes a property of the assigned object's own.
  const allowAssignment = (prototype, key) => {
    const property = getOwnPropertyDescriptor(prototype, key);
    if (property === undefined || !("value" in property) || !property.configurable) return;
    const { value } = property;
    const accessors = {
      get() {
        return value;
      },
      set(replacement) {
        if (this === prototype) throw new TypeError(`Cannot assign to read only property '${String(key)}'`);
        if (hasOwn(this, key)) this[key] = replacement;
        else defineProperty(this, key, { value: replacement, writable: true, enumerable: true, configurable: true });
      },
      enumerable: property.enumerable,
    };
    freeze(accessors.get);
    freeze(accessors.set);
    defineProperty(prototype, key, accessors);
  };
  const assigned = new Set(["toString", "toLocaleString", "valueOf", "toJSON", "name", "message"]);
  // V8 runs these fast only as long as their `constructor` is an ordinary property.
  const plainConstructor = new Set([
    Array.prototype,
    Promise.prototype,
    RegExp.prototype,
    ArrayBuffer.prototype,
    getPrototypeOf(Uint8Array.prototype),
  ]);
  for (const object of reached) {
    const constructor = getOwnPropertyDescriptor(object, "constructor")?.value;
    const isPrototype = typeof constructor === "function" && constructor.prototype === object;
    if (!isPrototype) continue;
    if (object === Object.prototype) {
      for (const key of ownKeys(object)) if (key !== "__proto__") allowAssignment(object, key);
      continue;
    }
    for (const key of ownKeys(object)) if (assigned.has(key)) allowAssignment(object, key);
    if (!plainConstructor.has(object) && getPrototypeOf(constructor) !== getPrototypeOf(Uint8Array)) {
      allowAssignment(object, "constructor");
    }
  }

  for (const object of reached) freeze(object);
  return reached;
})
