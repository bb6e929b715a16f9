import {
  a as r
} from "./HRFLI3TK.js";

// convex/lib/deep.ts
function n(e) {
  throw new Error(`deep: ${e}`);
}
r(n, "fail");

export {
  n as a
};
