import {
  a
} from "./_deps/GUGJWSC6.js";
import {
  a as n,
  b as s,
  c as i
} from "./_deps/HRFLI3TK.js";

// convex/stacks.ts
var r = /* @__PURE__ */ n((o) => i({ args: {}, handler: /* @__PURE__ */ n(async () => await o(), "handler") }), "query"), c = /* @__PURE__ */ n(() => Convex.asyncSyscall("later", "{}"), "later");
function w() {
  return p({ deep: !0 });
}
n(w, "outer");
function p(o) {
  throw new TypeError(`inner ${o.deep}`);
}
n(p, "inner");
var e = class {
  constructor(t) {
    this.owner = t;
  }
  static {
    n(this, "Account");
  }
  static open() {
    throw new RangeError("not open");
  }
  withdraw(t) {
    throw new Error(`${this.owner} has less than ${t}`);
  }
  get balance() {
    throw new Error("no balance");
  }
};
async function h() {
  await c(), await u();
}
n(h, "afterWaiting");
async function u() {
  throw await c(), new Error("after two waits");
}
n(u, "nested");
var m = r(() => w()), y = r(() => h()), E = r(() => new e("Ada").withdraw(7)), g = r(() => e.open()), v = r(() => new e("Ada").balance), f = r(() => [1].map(() => a("anonymous"))), b = r(() => a("chunk")), C = r(() => {
  throw new s({ code: 7, why: "because" });
}), j = r(() => {
  throw new s("plain");
}), P = r(() => {
  throw "just a text";
}), k = r(() => {
  throw { code: 7 };
}), S = r(() => {
  throw void 0;
}), T = r(() => {
  throw new Error();
}), $ = r(() => {
  throw Object.assign(new Error("mine"), { name: "CustomError" });
}), q = r(() => {
  throw new Error(`first line
    at nowhere (x:1:1)
last line`);
}), A = r(() => {
  throw new Error("outside", { cause: new Error("inside") });
}), M = r(async () => {
  await Convex.asyncSyscall("nested", "{}");
}), O = r(async () => {
  Promise.reject(new Error("nobody waits")), await c();
}), V = r(() => {
  let o = /* @__PURE__ */ n((t) => o(t + 1) + 1, "again");
  return o(0);
});
export {
  f as anonymous,
  y as asynchronous,
  A as cause,
  b as chunk,
  C as convexError,
  j as convexErrorText,
  v as getter,
  q as manyLines,
  E as method,
  $ as named,
  M as nestedCall,
  T as noMessage,
  V as overflow,
  g as staticMethod,
  m as sync,
  S as thrownNothing,
  k as thrownObject,
  P as thrownText,
  O as unhandled
};
