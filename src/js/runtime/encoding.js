// Text and base64, as in browsers.
(function encoding(host, shared) {
  "use strict";

  const bytesOf = (input) => {
    if (input === undefined) return new Uint8Array(0);
    if (input instanceof ArrayBuffer) return new Uint8Array(input);
    if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
    throw new TypeError("The input must be an ArrayBuffer or a view of one");
  };

  const join = (first, second) => {
    if (first.length === 0) return second;
    const joined = new Uint8Array(first.length + second.length);
    joined.set(first);
    joined.set(second, first.length);
    return joined;
  };

  // How many bytes at the end begin a UTF-8 sequence that is not complete.
  const incompleteUtf8 = (bytes) => {
    for (let back = 1; back <= Math.min(3, bytes.length); back++) {
      const byte = bytes[bytes.length - back];
      if ((byte & 0xc0) === 0x80) continue;
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
      return length > back ? back : 0;
    }
    return 0;
  };

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }
    get [Symbol.toStringTag]() {
      return "TextEncoder";
    }
    encode(text = "") {
      return shared.encodeUtf8(`${text}`);
    }
    encodeInto(text, target) {
      if (!(target instanceof Uint8Array)) throw new TypeError("encodeInto writes to a Uint8Array");
      let read = 0;
      let written = 0;
      for (const character of `${text}`) {
        const bytes = shared.encodeUtf8(character);
        if (written + bytes.length > target.length) break;
        target.set(bytes, written);
        written += bytes.length;
        read += character.length;
      }
      return { read, written };
    }
  }

  class TextDecoder {
    #encoding;
    #fatal;
    #ignoreBOM;
    #started = false;
    // UTF-8: the bytes of a character that is not complete. Others: all bytes of the stream, of which the text up
    // to #given is out already.
    #pending = new Uint8Array(0);
    #given = 0;
    constructor(label = "utf-8", options = {}) {
      this.#encoding = host.encodingName(`${label}`);
      if (this.#encoding === undefined) throw new RangeError(`The encoding "${label}" is not supported`);
      this.#fatal = Boolean(options?.fatal);
      this.#ignoreBOM = Boolean(options?.ignoreBOM);
    }
    get encoding() {
      return this.#encoding;
    }
    get fatal() {
      return this.#fatal;
    }
    get ignoreBOM() {
      return this.#ignoreBOM;
    }
    get [Symbol.toStringTag]() {
      return "TextDecoder";
    }
    decode(input = undefined, options = {}) {
      const more = Boolean(options?.stream);
      const bytes = join(this.#pending, bytesOf(input));
      let text;
      try {
        text = this.#encoding === "utf-8" ? this.#decodeUtf8(bytes, more) : this.#decodeOther(bytes, more);
      } catch (error) {
        this.#forget();
        throw error;
      }
      if (text !== "" && !this.#started) {
        this.#started = true;
        if (!this.#ignoreBOM && this.#encoding.startsWith("utf-") && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      }
      if (!more) this.#forget();
      return text;
    }
    #decodeUtf8(bytes, more) {
      const keep = more ? incompleteUtf8(bytes) : 0;
      this.#pending = bytes.slice(bytes.length - keep);
      return host.decodeUtf8(bytes.subarray(0, bytes.length - keep), this.#fatal);
    }
    #decodeOther(bytes, more) {
      const text = host.decodeText(this.#encoding, bytes, this.#fatal, !more);
      const news = text.slice(this.#given);
      this.#pending = bytes.slice();
      this.#given = text.length;
      return news;
    }
    #forget() {
      this.#pending = new Uint8Array(0);
      this.#given = 0;
      this.#started = false;
    }
  }

  const CHUNK = 0x2000;
  const invalid = (message) => {
    const { DOMException } = shared.use("events");
    return new DOMException(message, "InvalidCharacterError");
  };

  function atob(text) {
    let bytes;
    try {
      bytes = Uint8Array.fromBase64(`${text}`);
    } catch {
      throw invalid("The string to be decoded is not correctly encoded");
    }
    let result = "";
    for (let i = 0; i < bytes.length; i += CHUNK) result += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
    return result;
  }

  function btoa(text) {
    const string = `${text}`;
    const bytes = new Uint8Array(string.length);
    for (let i = 0; i < string.length; i++) {
      const code = string.charCodeAt(i);
      if (code > 0xff) throw invalid("The string to be encoded contains characters outside of Latin1");
      bytes[i] = code;
    }
    return bytes.toBase64();
  }

  return { TextEncoder, TextDecoder, atob, btoa };
})
