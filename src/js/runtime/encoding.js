// Text and base64, as in browsers; of the decoders only UTF-8 and UTF-16LE.
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

  const decodeUtf16 = (bytes, fatal) => {
    let text = "";
    for (let i = 0; i + 1 < bytes.length; i += 2) text += String.fromCharCode(bytes[i] | (bytes[i + 1] << 8));
    if (bytes.length % 2 === 1) text += "\ud800";
    if (fatal && !text.isWellFormed()) throw new TypeError("The encoded data was not valid for encoding utf-16le");
    return text.toWellFormed();
  };

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }
    encode(text = "") {
      return shared.encodeUtf8(`${text}`);
    }
    encodeInto(text, target) {
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

  const LABELS = new Map([
    ["utf-8", "utf-8"], ["utf8", "utf-8"], ["unicode-1-1-utf-8", "utf-8"],
    ["utf-16le", "utf-16le"], ["utf-16", "utf-16le"], ["ucs-2", "utf-16le"], ["unicode", "utf-16le"],
  ]);

  class TextDecoder {
    #encoding;
    #fatal;
    #ignoreBOM;
    #pending = new Uint8Array(0);
    #started = false;
    constructor(label = "utf-8", options = {}) {
      this.#encoding = LABELS.get(`${label}`.trim().toLowerCase());
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
    decode(input, options = {}) {
      let bytes = join(this.#pending, bytesOf(input));
      const utf8 = this.#encoding === "utf-8";
      const keep = !options?.stream ? 0 : utf8 ? incompleteUtf8(bytes) : bytes.length % 2;
      this.#pending = bytes.slice(bytes.length - keep);
      bytes = bytes.subarray(0, bytes.length - keep);
      let text = utf8 ? host.decodeUtf8(bytes, this.#fatal) : decodeUtf16(bytes, this.#fatal);
      if (!this.#started && !this.#ignoreBOM && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      this.#started = Boolean(options?.stream) && (this.#started || bytes.length > 0);
      return text;
    }
  }

  const CHUNK = 0x2000;
  const invalid = (message) => new DOMException(message, "InvalidCharacterError");

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
