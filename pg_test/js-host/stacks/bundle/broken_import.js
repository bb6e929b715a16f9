import {
  a as r,
  c as o
} from "./_deps/HRFLI3TK.js";

// convex/broken_import.ts
function e() {
  throw new Error("at import");
}
r(e, "check");
e();
var t = o({ args: {}, handler: /* @__PURE__ */ r(() => null, "handler") });
export {
  t as f
};
