// URL and URLSearchParams; the host parses and serialises by the URL standard.
(function url(host, shared) {
  "use strict";

  const decode = (text) => {
    const bytes = [];
    const source = shared.encodeUtf8(text);
    for (let i = 0; i < source.length; i++) {
      const hex = source[i] === 0x25 ? String.fromCharCode(source[i + 1], source[i + 2]) : "";
      if (/^[0-9a-fA-F]{2}$/.test(hex)) {
        bytes.push(parseInt(hex, 16));
        i += 2;
      } else {
        bytes.push(source[i] === 0x2b ? 0x20 : source[i]);
      }
    }
    return host.decodeUtf8(new Uint8Array(bytes), false);
  };

  const encode = (text) => {
    let result = "";
    for (const byte of shared.encodeUtf8(text)) {
      const character = String.fromCharCode(byte);
      if (byte === 0x20) result += "+";
      else if (/[A-Za-z0-9*\-._]/.test(character)) result += character;
      else result += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    }
    return result;
  };

  const parsePairs = (text) =>
    text.split("&").filter((part) => part !== "").map((part) => {
      const at = part.indexOf("=");
      return at < 0 ? [decode(part), ""] : [decode(part.slice(0, at)), decode(part.slice(at + 1))];
    });

  class URLSearchParams {
    #pairs = [];
    #changed;
    constructor(init = "", changed = undefined) {
      this.#changed = changed?.token === token ? changed.callback : undefined;
      if (typeof init === "object" && init !== null) {
        const iterable = typeof init[Symbol.iterator] === "function";
        for (const pair of iterable ? init : Object.entries(init)) {
          const [name, value, ...rest] = pair;
          if (value === undefined || rest.length > 0) throw new TypeError("Each pair must have a name and a value");
          this.#pairs.push([`${name}`, `${value}`]);
        }
      } else {
        const text = `${init}`;
        this.#pairs = parsePairs(text.startsWith("?") ? text.slice(1) : text);
      }
    }
    static replace(params, text) {
      params.#pairs = parsePairs(text);
    }
    #update() {
      this.#changed?.(this.toString());
    }
    get size() {
      return this.#pairs.length;
    }
    append(name, value) {
      this.#pairs.push([`${name}`, `${value}`]);
      this.#update();
    }
    delete(name, value) {
      this.#pairs = this.#pairs.filter((pair) => pair[0] !== `${name}` || (value !== undefined && pair[1] !== `${value}`));
      this.#update();
    }
    get(name) {
      return this.#pairs.find((pair) => pair[0] === `${name}`)?.[1] ?? null;
    }
    getAll(name) {
      return this.#pairs.filter((pair) => pair[0] === `${name}`).map((pair) => pair[1]);
    }
    has(name, value) {
      return this.#pairs.some((pair) => pair[0] === `${name}` && (value === undefined || pair[1] === `${value}`));
    }
    set(name, value) {
      const at = this.#pairs.findIndex((pair) => pair[0] === `${name}`);
      if (at < 0) return this.append(name, value);
      this.#pairs = this.#pairs.filter((pair, i) => i <= at || pair[0] !== `${name}`);
      this.#pairs[at] = [`${name}`, `${value}`];
      this.#update();
    }
    sort() {
      this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
      this.#update();
    }
    forEach(callback, receiver) {
      for (const [name, value] of this.#pairs) callback.call(receiver, value, name, this);
    }
    *entries() {
      for (const [name, value] of this.#pairs) yield [name, value];
    }
    *keys() {
      for (const [name] of this.#pairs) yield name;
    }
    *values() {
      for (const [, value] of this.#pairs) yield value;
    }
    [Symbol.iterator]() {
      return this.entries();
    }
    get [Symbol.toStringTag]() {
      return "URLSearchParams";
    }
    toString() {
      return this.#pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join("&");
    }
  }
  const replace = URLSearchParams.replace;
  delete URLSearchParams.replace;
  const token = {};

  const parse = (text, base) => host.parseUrl(`${text}`, base === undefined ? undefined : `${base}`);

  class URL {
    #parts;
    #params;
    constructor(text, base = undefined) {
      this.#parts = parse(text, base);
      if (this.#parts === undefined) throw new TypeError(`Invalid URL: ${JSON.stringify(`${text}`)}`);
    }
    static canParse(text, base = undefined) {
      return parse(text, base) !== undefined;
    }
    static parse(text, base = undefined) {
      return URL.canParse(text, base) ? new URL(text, base) : null;
    }
    #set(field, value) {
      const parts = host.setUrlPart(this.#parts.href, field, `${value}`);
      if (parts !== undefined) this.#parts = parts;
      else if (field === "href") throw new TypeError(`Invalid URL: ${JSON.stringify(`${value}`)}`);
    }
    static {
      for (const field of ["href", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"]) {
        Object.defineProperty(URL.prototype, field, {
          get() {
            return this.#parts[field];
          },
          set(value) {
            this.#set(field, value);
            if (this.#params !== undefined && (field === "search" || field === "href")) {
              replace(this.#params, this.#parts.search.slice(1));
            }
          },
          enumerable: true,
          configurable: true,
        });
      }
    }
    get origin() {
      return this.#parts.origin;
    }
    get searchParams() {
      this.#params ??= new URLSearchParams(this.#parts.search, { token, callback: (text) => this.#set("search", text) });
      return this.#params;
    }
    get [Symbol.toStringTag]() {
      return "URL";
    }
    toString() {
      return this.#parts.href;
    }
    toJSON() {
      return this.#parts.href;
    }
  }

  return { URL, URLSearchParams };
})
