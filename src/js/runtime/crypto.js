// Random numbers from the call's seed, and Web Crypto. Keys can not be generated: queries and mutations have no
// random numbers but those that can be repeated.
(function crypto(host, shared) {
  "use strict";

  const MAX_RANDOM_BYTES = 65536;
  const INTEGER_VIEWS = new Set([
    "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array",
    "BigInt64Array", "BigUint64Array",
  ]);

  const keys = shared.use("crypto_keys");
  const { CryptoKey, HASH_BITS, USAGES, bytesOf, fail, hashOf, materialOf, named, native } = keys;
  const verified = (...args) => native(...args)[0] === 1;
  const seed = () => {
    const bytes = new Uint8Array(32);
    shared.randomBytes(bytes);
    return bytes;
  };

  // The algorithm of a call and the material of its key, after the checks that all of them need.
  const using = (key, usage, algorithm, names, type = undefined) => {
    const wanted = named(algorithm, names);
    if (!(key instanceof CryptoKey)) throw new TypeError("The key must be a CryptoKey");
    if (key.algorithm.name !== wanted.name) fail("InvalidAccessError", `The key is one of ${key.algorithm.name}, not of ${wanted.name}`);
    if (type !== undefined && USAGES[wanted.name].secret === undefined && key.type !== type) fail("InvalidAccessError", `This takes a ${type} key`);
    if (!usage.some((one) => key.usages.includes(one))) fail("InvalidAccessError", `The key is not for ${usage[0]}`);
    return [wanted, materialOf(key)];
  };

  const SIGNING = ["HMAC", "RSASSA-PKCS1-v1_5", "RSA-PSS", "ECDSA", "Ed25519"];
  const sign = (algorithm, key, data) => {
    const [wanted, material] = using(key, ["sign"], algorithm, SIGNING, "private");
    const { hash, namedCurve } = key.algorithm;
    switch (wanted.name) {
      case "HMAC": return native("hash.hmac", hash.name, material, data);
      case "ECDSA": return native("curve.sign", namedCurve, material, hashOf(wanted), data);
      case "Ed25519": return native("curve.sign", "Ed25519", material, data);
      case "RSA-PSS": return native("rsa.sign", "pss", hash.name, saltOf(wanted), material, data, seed());
      default: return native("rsa.sign", "pkcs1", hash.name, 0, material, data, seed());
    }
  };
  const verify = (algorithm, key, signature, data) => {
    const [wanted, material] = using(key, ["verify"], algorithm, SIGNING, "public");
    const { hash, namedCurve } = key.algorithm;
    switch (wanted.name) {
      case "HMAC": return verified("hash.verifyHmac", hash.name, material, signature, data);
      case "ECDSA": return verified("curve.verify", namedCurve, material, hashOf(wanted), signature, data);
      case "Ed25519": return verified("curve.verify", "Ed25519", material, signature, data);
      case "RSA-PSS": return verified("rsa.verify", "pss", hash.name, saltOf(wanted), material, signature, data);
      default: return verified("rsa.verify", "pkcs1", hash.name, 0, material, signature, data);
    }
  };
  const saltOf = ({ saltLength }) => {
    if (!(saltLength >= 0 && saltLength <= 1024)) throw new TypeError("RSA-PSS needs a saltLength");
    return Math.trunc(saltLength);
  };

  const CIPHERS = ["AES-GCM", "AES-CBC", "AES-CTR", "RSA-OAEP"];
  const cipher = (usage, algorithm, key, data) => {
    const [wanted, material] = using(key, [usage], algorithm, CIPHERS, usage === "encrypt" ? "public" : "private");
    const optional = (value) => (value === undefined ? new Uint8Array(0) : bytesOf(value));
    switch (wanted.name) {
      case "AES-GCM": {
        const tagBytes = (wanted.tagLength ?? 128) / 8;
        return native(`aes.${usage}Gcm`, material, bytesOf(wanted.iv), optional(wanted.additionalData), tagBytes, data);
      }
      case "AES-CBC": return native(`aes.${usage}Cbc`, material, bytesOf(wanted.iv), data);
      case "AES-CTR": return native("aes.ctr", material, bytesOf(wanted.counter), Number(wanted.length), data);
      default: return native(`rsa.${usage}`, key.algorithm.hash.name, optional(wanted.label), material, data, seed());
    }
  };

  const DERIVING = ["PBKDF2", "HKDF", "ECDH", "X25519"];
  const derive = (usage, algorithm, key, bits) => {
    const [wanted, material] = using(key, usage, algorithm, DERIVING, "private");
    if (bits !== null && (bits < 0 || bits % 8 !== 0)) fail("OperationError", "The length must be a multiple of 8 bits");
    if (wanted.name === "PBKDF2" || wanted.name === "HKDF") {
      if (bits === null) fail("OperationError", "The length must be given");
      const salt = bytesOf(wanted.salt);
      if (wanted.name === "HKDF") return native("hash.hkdf", hashOf(wanted), material, salt, bytesOf(wanted.info), bits / 8);
      if (!(wanted.iterations >= 1)) fail("OperationError", "There must be at least one iteration");
      return native("hash.pbkdf2", hashOf(wanted), material, salt, Math.trunc(wanted.iterations), bits / 8);
    }
    const other = wanted.public;
    if (!(other instanceof CryptoKey) || other.type !== "public") throw new TypeError(`${wanted.name} needs a public key`);
    const { name, namedCurve } = key.algorithm;
    if (other.algorithm.name !== name || other.algorithm.namedCurve !== namedCurve) fail("InvalidAccessError", "The two keys must be of one curve");
    const shared = native("curve.derive", namedCurve ?? name, material, materialOf(other));
    if (bits !== null && bits / 8 > shared.length) fail("OperationError", "The shared secret is shorter than that");
    return bits === null ? shared : shared.slice(0, bits / 8);
  };

  // How many bits a derived key of an algorithm takes; null for all there are.
  const lengthOf = (algorithm) => {
    const wanted = named(algorithm, Object.keys(USAGES).filter((name) => USAGES[name].secret !== undefined));
    if (wanted.name === "PBKDF2" || wanted.name === "HKDF") return null;
    if (wanted.name !== "HMAC") return [128, 192, 256].includes(wanted.length) ? wanted.length : fail("OperationError", "A key of AES has 128, 192 or 256 bits");
    // The size of a block of the hash.
    return wanted.length ?? (HASH_BITS[hashOf(wanted)] > 256 ? 1024 : 512);
  };

  class SubtleCrypto {
    constructor(proof) {
      if (proof !== token) throw new TypeError("Illegal constructor");
    }
    async digest(algorithm, data) {
      return native("hash.digest", named(algorithm, Object.keys(HASH_BITS)).name, bytesOf(data)).buffer;
    }
    async sign(algorithm, key, data) {
      return sign(algorithm, key, bytesOf(data)).buffer;
    }
    async verify(algorithm, key, signature, data) {
      return verify(algorithm, key, bytesOf(signature), bytesOf(data));
    }
    async encrypt(algorithm, key, data) {
      return cipher("encrypt", algorithm, key, bytesOf(data)).buffer;
    }
    async decrypt(algorithm, key, data) {
      return cipher("decrypt", algorithm, key, bytesOf(data)).buffer;
    }
    async importKey(format, data, algorithm, extractable, usages) {
      return keys.importKey(format, data, algorithm, extractable, [...usages]);
    }
    async exportKey(format, key) {
      return keys.exportKey(format, key);
    }
    async generateKey() {
      throw shared.notInFunctions("crypto.subtle.generateKey()");
    }
    async deriveBits(algorithm, key, length = null) {
      return derive(["deriveBits"], algorithm, key, length).buffer;
    }
    async deriveKey(algorithm, key, derivedAlgorithm, extractable, usages) {
      const bytes = derive(["deriveKey"], algorithm, key, lengthOf(derivedAlgorithm));
      return keys.importKey("raw", bytes, derivedAlgorithm, extractable, [...usages]);
    }
    get [Symbol.toStringTag]() {
      return "SubtleCrypto";
    }
  }

  class Crypto {
    constructor(proof) {
      if (proof !== token) throw new TypeError("Illegal constructor");
    }
    get subtle() {
      return subtle;
    }
    getRandomValues(view) {
      const type = ArrayBuffer.isView(view) ? view[Symbol.toStringTag] : undefined;
      if (!INTEGER_VIEWS.has(type)) fail("TypeMismatchError", "The array must be of an integer type");
      if (view.byteLength > MAX_RANDOM_BYTES) fail("QuotaExceededError", `At most ${MAX_RANDOM_BYTES} random bytes at a time`);
      shared.randomBytes(view);
      return view;
    }
    randomUUID() {
      const bytes = new Uint8Array(16);
      shared.randomBytes(bytes);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const hex = bytes.toHex();
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    }
    get [Symbol.toStringTag]() {
      return "Crypto";
    }
  }

  const token = {};
  const subtle = new SubtleCrypto(token);
  return { crypto: new Crypto(token), Crypto, SubtleCrypto, CryptoKey };
})
