// Classes of the web that modules may name (in a subclass, in an action's handler) but that queries and
// mutations can not use.
(function unavailable(host, shared) {
  "use strict";

  const names = [
    "Blob", "File", "FormData", "Headers", "Request", "Response", "ReadableStream", "ReadableStreamDefaultReader",
    "ReadableStreamBYOBReader", "WritableStream", "WritableStreamDefaultWriter", "TransformStream",
    "TextEncoderStream", "TextDecoderStream",
  ];
  const unusable = (name) =>
    ({
      [name]: class {
        constructor() {
          throw shared.notInFunctions(name);
        }
      },
    })[name];
  return Object.fromEntries(names.map((name) => [name, unusable(name)]));
})
