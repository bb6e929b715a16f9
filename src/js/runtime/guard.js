// Lets many calls share a context in which modules have been imported, if nothing that the modules made can change
// any more. Texts of modules have been through `crates/guard`: they hand the variables of closures to this hook.
// Evaluates to a function to be called before modules are imported, with that of harden.js and one that knows generators.
// It gives another, for
// afterwards, which freezes what the modules made, or gives a text that says why the context must not be shared.
let $pg_live_guard;
(function guard(harden, isGenerator) {
  "use strict";

  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf } = Object;
  const { apply, ownKeys } = Reflect;
  const sourceOf = Function.prototype.toString;
  const flagsOf = getOwnPropertyDescriptor(RegExp.prototype, "flags").get;
  const { endsWith } = String.prototype;
  // How V8 writes functions that have no source; no text of a function can end so. Regular expressions are slow in a
  // realm that is frozen, and this is asked of every function.
  const isNative = (value) => apply(endsWith, apply(sourceOf, value, []), ["{ [native code] }"]);
  const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

  let importing = true;
  let refusal;
  const refuse = (why) => {
    if (importing) refusal ??= why;
  };
  const hooks = [];
  // What neither properties nor variables lead to: inside of bound functions and proxies.
  const inside = new Map();

  // With these an object with hidden state could look like one without, or something could be hidden in an object.
  // They are watched during the import, and stay in place.
  const watch = (holder, name, make) => {
    const property = getOwnPropertyDescriptor(holder, name);
    const part = property.set === undefined ? "value" : "set";
    const watching = make(property[part]);
    for (const key of ["name", "length"]) {
      defineProperty(watching, key, getOwnPropertyDescriptor(property[part], key));
    }
    defineProperty(holder, name, { ...property, [part]: watching });
  };
  const anotherPrototype = (original) =>
    ({
      watching(...args) {
        refuse("the prototype of an object was changed");
        return apply(original, this, args);
      },
    }).watching;
  watch(Object, "setPrototypeOf", anotherPrototype);
  watch(Reflect, "setPrototypeOf", anotherPrototype);
  watch(Object.prototype, "__proto__", anotherPrototype);
  watch(Reflect, "construct", (original) => (target, args, ...rest) => {
    if (rest.length > 0 && rest[0] !== target) refuse("Reflect.construct was used with a third argument");
    return original(target, args, ...rest);
  });
  watch(Function.prototype, "bind", (original) =>
    ({
      watching(...args) {
        if (base.has(this) && Object.hasOwn(this, "prototype")) refuse("a built-in constructor was bound");
        const bound = apply(original, this, args);
        if (importing) inside.set(bound, [this, ...args]);
        return bound;
      },
    }).watching,
  );
  watch(globalThis, "Proxy", (original) => {
    const watching = function (target, handler) {
      if (new.target === undefined) throw new TypeError("Constructor Proxy requires 'new'");
      if (typeof target === "function") refuse("a Proxy of a function was made");
      const proxy = new original(target, handler);
      if (importing) inside.set(proxy, [target, handler]);
      return proxy;
    };
    watching.prototype = undefined;
    watching.revocable = (target, handler) => {
      refuse("Proxy.revocable was used");
      return original.revocable(target, handler);
    };
    return watching;
  });
  // What there is before modules: all of it is frozen.
  const base = harden();

  // Everything that properties and prototypes lead to from `roots`, each with how it was found.
  const reach = (roots, known, onObject) => {
    const pending = roots;
    const visit = (value, path) => {
      if (isObject(value)) pending.push([value, path]);
    };
    while (pending.length > 0) {
      const [object, path] = pending.pop();
      if (known.has(object)) continue;
      known.add(object);
      const hidden = inside.get(object);
      if (hidden !== undefined) {
        hidden.forEach((value) => visit(value, path));
        onObject(object, path, typeof object === "object");
        // Looking into a proxy would call its traps.
        if (typeof object === "object") continue;
      } else {
        onObject(object, path, false);
      }
      visit(getPrototypeOf(object), path);
      for (const key of ownKeys(object)) {
        let property;
        try {
          property = getOwnPropertyDescriptor(object, key);
        } catch {
          // Of a namespace: a variable that was never initialized.
          continue;
        }
        const { value, get, set } = property;
        if (!isObject(value) && get === undefined && set === undefined) continue;
        const at = typeof key === "symbol" ? `${path}[${String(key)}]` : `${path}.${key}`;
        visit(value, at);
        visit(get, at);
        visit(set, at);
      }
    }
  };

  const functions = [async () => {}, function* () {}, async function* () {}].map(getPrototypeOf);
  // Objects that inherit from these and from what modules made, and from nothing else, have no state but their
  // properties.
  const plain = new Set([
    Object.prototype,
    Array.prototype,
    Function.prototype,
    RegExp.prototype,
    TextEncoder.prototype,
    AsyncLocalStorage.prototype,
    ...functions,
    // What the `prototype` of generator functions inherits from.
    functions[1].prototype,
    getPrototypeOf(functions[1].prototype),
  ]);
  // What a class has made for its instances to inherit from is an ordinary object, whatever that inherits from.
  const isOfClass = (object) => {
    const constructor = getOwnPropertyDescriptor(object, "constructor")?.value;
    if (typeof constructor !== "function" || inside.has(constructor)) return false;
    const property = getOwnPropertyDescriptor(constructor, "prototype");
    const isItsPrototype = property?.value === object && property.writable === false;
    return isItsPrototype && /^class[\s{]/.test(apply(sourceOf, constructor, []));
  };

  const check = (object, path, isProxy) => {
    if (isProxy) return;
    const refuseIt = (why) => refuse(`${path.replace(/^\./, "") || "a value"} ${why}`);
    for (let at = object; at !== null; at = getPrototypeOf(at)) {
      // The objects that a proxy stands for are looked at by themselves.
      if (inside.has(at) && typeof at === "object") return refuseIt("inherits from a Proxy");
      if (at === object || !base.has(at) || plain.has(at)) continue;
      // A class inherits from the one that it extends, and is a function all the same.
      if (typeof object === "function" || isOfClass(object)) continue;
      const name = at.constructor?.name;
      const kind = typeof name === "string" ? name : "built-in object";
      return refuseIt(`is ${/^[AEIO]/.test(kind) ? "an" : "a"} ${kind}, which can not be frozen`);
    }
    if (typeof object === "function") {
      if (isNative(object) && !inside.has(object)) refuseIt("is a built-in function with state");
    } else if (isGenerator(object)) {
      // It may inherit from anything.
      refuseIt("is a generator, which can not be frozen");
    } else if (Object.hasOwn(object, "lastIndex") && getPrototypeOf(object) === RegExp.prototype) {
      let flags = "";
      try {
        flags = apply(flagsOf, object, []);
      } catch {
        return;
      }
      if (/[gy]/.test(flags)) refuseIt("is a regular expression with the flag g or y, which keeps its last position");
    }
  };

  $pg_live_guard = (hand, ...marks) => {
    marks.forEach(refuse);
    hooks.push(hand);
  };

  return (namespaces) => {
    $pg_live_guard = undefined;
    const spaces = new Set(namespaces.map(([, namespace]) => namespace));
    const roots = namespaces.map(([path, namespace]) => [namespace, path]);
    const take = (name, read) => {
      try {
        const value = read();
        if (isObject(value)) roots.push([value, name]);
      } catch {
        // A variable that was never initialized.
      }
    };
    hooks.forEach((hand) => hand(take));
    const made = [];
    reach(roots, new Set(base), (object, path, isProxy) => {
      if (spaces.has(object)) return;
      check(object, path, isProxy);
      if (!isProxy) made.push(object);
    });
    importing = false;
    if (refusal === undefined) harden(made);
    return refusal;
  };
})
