// Binary data in memory, files and forms of them.
(function blob(host, shared) {
  "use strict";

  const bytesOf = Symbol("bytes");
  const make = Symbol("make");

  const partBytes = (part, endings) => {
    if (part instanceof Blob) return part[bytesOf]();
    if (part instanceof ArrayBuffer) return new Uint8Array(part);
    if (ArrayBuffer.isView(part)) return new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    const text = `${part}`;
    return shared.encodeUtf8(endings === "native" ? text.replace(/\r\n?/g, "\n") : text);
  };

  const typeOf = (type) => (/^[\x20-\x7e]*$/.test(`${type}`) ? `${type}`.toLowerCase() : "");

  // A position in `size` bytes; negative ones count from the end.
  const position = (at, size) => {
    const whole = Math.trunc(Number(at)) || 0;
    return whole < 0 ? Math.max(size + whole, 0) : Math.min(whole, size);
  };

  class Blob {
    #bytes;
    #type;
    constructor(parts = undefined, options = {}) {
      if (parts !== undefined && (typeof parts !== "object" || parts === null || typeof parts[Symbol.iterator] !== "function")) {
        throw new TypeError("A Blob is made of a sequence of parts");
      }
      const all = Array.from(parts ?? [], (part) => partBytes(part, options?.endings));
      this.#bytes = new Uint8Array(all.reduce((size, bytes) => size + bytes.length, 0));
      let at = 0;
      for (const bytes of all) {
        this.#bytes.set(bytes, at);
        at += bytes.length;
      }
      this.#type = typeOf(options?.type ?? "");
    }
    // A blob of bytes that nobody else can change.
    static [make](bytes, type) {
      const blob = new Blob([], { type });
      blob.#bytes = bytes;
      return blob;
    }
    [bytesOf]() {
      return this.#bytes;
    }
    get size() {
      return this.#bytes.length;
    }
    get type() {
      return this.#type;
    }
    slice(start = 0, end = this.size, type = "") {
      const from = position(start, this.size);
      return Blob[make](this.#bytes.subarray(from, Math.max(from, position(end, this.size))), type);
    }
    async arrayBuffer() {
      return this.#bytes.slice().buffer;
    }
    async bytes() {
      return this.#bytes.slice();
    }
    async text() {
      const text = host.decodeUtf8(this.#bytes, false);
      return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    }
    stream() {
      const { ReadableStream } = shared.use("streams");
      const bytes = this.#bytes;
      const CHUNK = 65536;
      let at = 0;
      return new ReadableStream({
        type: "bytes",
        pull(controller) {
          if (at < bytes.length) controller.enqueue(bytes.slice(at, (at += CHUNK)));
          else {
            controller.close();
            controller.byobRequest?.respond(0);
          }
        },
      });
    }
    get [Symbol.toStringTag]() {
      return "Blob";
    }
  }

  class File extends Blob {
    #name;
    #lastModified;
    constructor(parts, name, options = {}) {
      if (arguments.length < 2) throw new TypeError("A File needs parts and a name");
      super(parts, options);
      this.#name = `${name}`;
      this.#lastModified = options?.lastModified === undefined ? shared.now() : Math.trunc(Number(options.lastModified)) || 0;
    }
    get name() {
      return this.#name;
    }
    get lastModified() {
      return this.#lastModified;
    }
    get webkitRelativePath() {
      return "";
    }
    get [Symbol.toStringTag]() {
      return "File";
    }
  }

  const entryValue = (value, filename) => {
    if (!(value instanceof Blob)) return `${value}`.toWellFormed();
    if (value instanceof File && filename === undefined) return value;
    const options = { type: value.type, lastModified: value.lastModified };
    return new File([value], filename ?? value.name ?? "blob", options);
  };

  class FormData {
    #entries = [];
    constructor(form = undefined) {
      if (form !== undefined) throw new TypeError("There are no HTML forms here");
    }
    append(name, value, filename = undefined) {
      this.#entries.push([`${name}`, entryValue(value, filename)]);
    }
    set(name, value, filename = undefined) {
      const at = this.#entries.findIndex((entry) => entry[0] === `${name}`);
      if (at < 0) return this.append(name, value, filename);
      this.#entries[at] = [`${name}`, entryValue(value, filename)];
      this.#entries = this.#entries.filter((entry, i) => i <= at || entry[0] !== `${name}`);
    }
    delete(name) {
      this.#entries = this.#entries.filter((entry) => entry[0] !== `${name}`);
    }
    get(name) {
      return this.#entries.find((entry) => entry[0] === `${name}`)?.[1] ?? null;
    }
    getAll(name) {
      return this.#entries.filter((entry) => entry[0] === `${name}`).map((entry) => entry[1]);
    }
    has(name) {
      return this.#entries.some((entry) => entry[0] === `${name}`);
    }
    forEach(callback, receiver = undefined) {
      for (const [name, value] of this) callback.call(receiver, value, name, this);
    }
    *entries() {
      for (const [name, value] of this.#entries) yield [name, value];
    }
    *keys() {
      for (const [name] of this.#entries) yield name;
    }
    *values() {
      for (const [, value] of this.#entries) yield value;
    }
    [Symbol.iterator]() {
      return this.entries();
    }
    get [Symbol.toStringTag]() {
      return "FormData";
    }
  }

  return { Blob, File, FormData, bytesOf: (value) => value[bytesOf]() };
})
