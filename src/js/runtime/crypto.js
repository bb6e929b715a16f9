// Random bytes from the call's seed, and digests. Keys and signatures belong to actions.
(function crypto(host, shared) {
  "use strict";

  const MAX_RANDOM_BYTES = 65536;
  const INTEGER_VIEWS = new Set([
    "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array",
    "BigInt64Array", "BigUint64Array",
  ]);

  const DIGEST_BYTES = { "SHA-256": 32, "SHA-384": 48, "SHA-512": 64 };

  class SubtleCrypto {
    async digest(algorithm, data) {
      const name = `${typeof algorithm === "object" && algorithm !== null ? algorithm.name : algorithm}`.toUpperCase();
      if (!Object.hasOwn(DIGEST_BYTES, name)) {
        throw new DOMException(`crypto.subtle.digest() has no algorithm ${name} in queries and mutations`, "NotSupportedError");
      }
      const input = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
      const output = new Uint8Array(DIGEST_BYTES[name]);
      host.digest(name, input, output);
      return output.buffer;
    }
  }
  for (const name of ["sign", "verify", "encrypt", "decrypt", "importKey", "exportKey", "generateKey", "deriveBits", "deriveKey", "wrapKey", "unwrapKey"]) {
    Object.defineProperty(SubtleCrypto.prototype, name, {
      async value() {
        throw shared.notInFunctions(`crypto.subtle.${name}()`);
      },
      writable: true,
      configurable: true,
    });
  }
  class CryptoKey {
    constructor() {
      throw new TypeError("Illegal constructor");
    }
  }

  class Crypto {
    get subtle() {
      return subtle;
    }
    getRandomValues(view) {
      const type = ArrayBuffer.isView(view) ? view[Symbol.toStringTag] : undefined;
      if (!INTEGER_VIEWS.has(type)) throw new DOMException("The array must be of an integer type", "TypeMismatchError");
      if (view.byteLength > MAX_RANDOM_BYTES) {
        throw new DOMException(`At most ${MAX_RANDOM_BYTES} random bytes at a time`, "QuotaExceededError");
      }
      shared.randomBytes(view);
      return view;
    }
    randomUUID() {
      const bytes = new Uint8Array(16);
      shared.randomBytes(bytes);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    }
  }
  const subtle = new SubtleCrypto();
  return { crypto: new Crypto(), Crypto, SubtleCrypto, CryptoKey };
})
