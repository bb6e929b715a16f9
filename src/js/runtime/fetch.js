// Headers, requests and responses as values. Sending them belongs to actions.
(function fetchClasses(host, shared) {
  "use strict";

  const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
  const headerName = (name) => {
    if (!NAME.test(`${name}`)) throw new TypeError(`Invalid header name: ${JSON.stringify(`${name}`)}`);
    return `${name}`.toLowerCase();
  };
  const headerValue = (value) => {
    const text = `${value}`.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
    if (/[\0\n\r]|[^\0-\xff]/.test(text)) throw new TypeError("Invalid header value");
    return text;
  };

  class Headers {
    // Lower-case name to values.
    #values = new Map();
    constructor(init = undefined) {
      if (init === undefined) return;
      if (typeof init !== "object" || init === null) throw new TypeError("Headers are made of an object or of pairs");
      if (typeof init[Symbol.iterator] !== "function") init = Object.entries(init);
      for (const pair of init) {
        const [name, value, ...rest] = pair;
        if (value === undefined || rest.length > 0) throw new TypeError("Each header must have a name and a value");
        this.append(name, value);
      }
    }
    append(name, value) {
      const key = headerName(name);
      this.#values.set(key, [...(this.#values.get(key) ?? []), headerValue(value)]);
    }
    delete(name) {
      this.#values.delete(headerName(name));
    }
    get(name) {
      return this.#values.get(headerName(name))?.join(", ") ?? null;
    }
    getSetCookie() {
      return [...(this.#values.get("set-cookie") ?? [])];
    }
    has(name) {
      return this.#values.has(headerName(name));
    }
    set(name, value) {
      this.#values.set(headerName(name), [headerValue(value)]);
    }
    forEach(callback, receiver = undefined) {
      for (const [name, value] of this) callback.call(receiver, value, name, this);
    }
    *entries() {
      for (const name of [...this.#values.keys()].sort()) {
        const values = this.#values.get(name);
        for (const value of name === "set-cookie" ? values : [values.join(", ")]) yield [name, value];
      }
    }
    *keys() {
      for (const [name] of this.entries()) yield name;
    }
    *values() {
      for (const [, value] of this.entries()) yield value;
    }
    [Symbol.iterator]() {
      return this.entries();
    }
    get [Symbol.toStringTag]() {
      return "Headers";
    }
  }

  // What a body is made of: its bytes or its stream, and the type that it says by itself.
  const extract = (body) => {
    const blobs = shared.use("blob");
    if (body instanceof shared.use("streams").ReadableStream) {
      if (body.locked) throw new TypeError("The body's stream is locked");
      return { stream: body, type: null };
    }
    if (body instanceof blobs.Blob) return { bytes: blobs.bytesOf(body), type: body.type || null };
    if (body instanceof blobs.FormData) {
      const encoded = shared.use("multipart").encode(body);
      return { bytes: blobs.bytesOf(encoded.body), type: encoded.type };
    }
    if (body instanceof ArrayBuffer) return { bytes: new Uint8Array(body.slice(0)), type: null };
    if (ArrayBuffer.isView(body)) {
      return { bytes: new Uint8Array(body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength)), type: null };
    }
    const form = body instanceof shared.use("url").URLSearchParams;
    const type = form ? "application/x-www-form-urlencoded;charset=UTF-8" : "text/plain;charset=UTF-8";
    return { bytes: shared.encodeUtf8(`${body}`), type };
  };

  const readAll = async (stream) => {
    const chunks = [];
    for await (const chunk of stream) {
      if (!(chunk instanceof Uint8Array)) throw new TypeError("A body is a stream of Uint8Arrays");
      chunks.push(chunk);
    }
    const { Blob, bytesOf } = shared.use("blob");
    return bytesOf(new Blob(chunks));
  };

  class Body {
    #source;
    #stream = null;
    #used = false;
    #headers;
    constructor(body, headers) {
      this.#headers = headers;
      if (body === null || body === undefined) return;
      this.#source = extract(body);
      this.#stream = this.#source.stream ?? null;
      if (this.#source.type !== null && !headers.has("content-type")) headers.set("content-type", this.#source.type);
    }
    get headers() {
      return this.#headers;
    }
    get body() {
      if (this.#source === undefined) return null;
      this.#stream ??= new (shared.use("blob").Blob)([this.#source.bytes]).stream();
      return this.#stream;
    }
    get bodyUsed() {
      return this.#used || Boolean(this.#stream?._disturbed);
    }
    async bytes() {
      if (this.#source === undefined) return new Uint8Array(0);
      if (this.bodyUsed || this.#stream?.locked) throw new TypeError("The body has been used already");
      this.#used = true;
      return this.#stream === null ? this.#source.bytes.slice() : readAll(this.#stream);
    }
    async arrayBuffer() {
      return (await this.bytes()).buffer;
    }
    async blob() {
      return new (shared.use("blob").Blob)([await this.bytes()], { type: this.#headers.get("content-type") ?? "" });
    }
    async text() {
      const text = host.decodeUtf8(await this.bytes(), false);
      return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    }
    async json() {
      return JSON.parse(await this.text());
    }
    async formData() {
      const type = this.#headers.get("content-type") ?? "";
      if (/^multipart\/form-data\b/i.test(type)) return shared.use("multipart").decode(await this.bytes(), type);
      if (!/^application\/x-www-form-urlencoded\b/i.test(type)) throw new TypeError("The body is not a form");
      const form = new (shared.use("blob").FormData)();
      for (const [name, value] of new (shared.use("url").URLSearchParams)(await this.text())) form.append(name, value);
      return form;
    }
    // A body with the same content; a stream is split.
    static copy(body) {
      if (body.bodyUsed || body.#stream?.locked) throw new TypeError("The body has been used already");
      if (body.#source === undefined) return null;
      if (body.#stream === null) return body.#source.bytes;
      const [mine, other] = body.#stream.tee();
      body.#stream = mine;
      return other;
    }
  }
  const { copy } = Body;
  delete Body.copy;

  const METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
  const methodOf = (method) => {
    if (!NAME.test(`${method}`)) throw new TypeError(`Invalid method: ${JSON.stringify(`${method}`)}`);
    const upper = `${method}`.toUpperCase();
    if (["CONNECT", "TRACE", "TRACK"].includes(upper)) throw new TypeError(`The method ${upper} is not allowed`);
    return METHODS.includes(upper) ? upper : `${method}`;
  };

  class Request extends Body {
    #url;
    #method;
    #signal;
    constructor(input, init = {}) {
      const from = input instanceof Request ? input : undefined;
      const method = methodOf(init?.method ?? from?.method ?? "GET");
      const given = init?.body ?? null;
      if (given !== null && (method === "GET" || method === "HEAD")) throw new TypeError(`A ${method} request has no body`);
      const url = from === undefined ? new (shared.use("url").URL)(`${input}`).href : from.url;
      super(given ?? (from === undefined ? null : copy(from)), new Headers(init?.headers ?? from?.headers));
      this.#url = url;
      this.#method = method;
      this.#signal = init?.signal ?? from?.signal ?? new (shared.use("events").AbortController)().signal;
    }
    get method() {
      return this.#method;
    }
    get url() {
      return this.#url;
    }
    get signal() {
      return this.#signal;
    }
    clone() {
      return new Request(this);
    }
    get [Symbol.toStringTag]() {
      return "Request";
    }
  }
  const MISSING = [
    "cache", "credentials", "destination", "duplex", "integrity", "isHistoryNavigation", "isReloadNavigation",
    "keepalive", "mode", "priority", "redirect", "referrer", "referrerPolicy",
  ];
  for (const name of MISSING) {
    Object.defineProperty(Request.prototype, name, { get: () => shared.notImplemented(name, "Request"), configurable: true });
  }

  const NULL_BODY = [101, 103, 204, 205, 304];
  const REDIRECTS = [301, 302, 303, 307, 308];

  class Response extends Body {
    #status;
    #statusText;
    #type = "default";
    constructor(body = null, init = {}) {
      const status = init?.status === undefined ? 200 : Math.trunc(Number(init.status));
      if (!(status >= 200 && status <= 599)) throw new RangeError(`A response's status is between 200 and 599, not ${init.status}`);
      if (body !== null && body !== undefined && NULL_BODY.includes(status)) throw new TypeError(`A response of status ${status} has no body`);
      super(body, new Headers(init?.headers));
      this.#status = status;
      this.#statusText = `${init?.statusText ?? ""}`;
    }
    static error() {
      const response = new Response();
      response.#status = 0;
      response.#type = "error";
      return response;
    }
    static json(data, init = {}) {
      const text = JSON.stringify(data);
      if (text === undefined) throw new TypeError("The data has no JSON form");
      const headers = new Headers(init?.headers);
      if (!headers.has("content-type")) headers.set("content-type", "application/json");
      return new Response(text, { ...init, headers });
    }
    static redirect(url, status = 302) {
      if (!REDIRECTS.includes(status)) throw new RangeError(`${status} is not the status of a redirect`);
      return new Response(null, { status, headers: { location: new (shared.use("url").URL)(`${url}`).href } });
    }
    get status() {
      return this.#status;
    }
    get statusText() {
      return this.#statusText;
    }
    get ok() {
      return this.#status >= 200 && this.#status <= 299;
    }
    get type() {
      return this.#type;
    }
    get url() {
      return "";
    }
    get redirected() {
      return false;
    }
    clone() {
      const headers = new Headers(this.headers);
      return new Response(copy(this), { status: this.#status, statusText: this.#statusText, headers });
    }
    get [Symbol.toStringTag]() {
      return "Response";
    }
  }

  return { Headers, Request, Response };
})
