// Evaluates what globals stand for that are evaluated when first read: afterwards the global object can be frozen.
(function reuse() {
  "use strict";
  for (const name of Object.getOwnPropertyNames(globalThis)) void globalThis[name];
})
