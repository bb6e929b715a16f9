import {
  a as e
} from "./_deps/GUGJWSC6.js";
import {
  a as r,
  c as o
} from "./_deps/HRFLI3TK.js";

// convex/other.ts
var i = o({ args: {}, handler: /* @__PURE__ */ r(() => e("other"), "handler") });
export {
  i as f
};
