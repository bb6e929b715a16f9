// Keys of Web Crypto: what kinds there are, and their formats.
(function cryptoKeys(host, shared) {
  "use strict";

  const fail = (name, message) => {
    const { DOMException } = shared.use("events");
    throw new DOMException(message, name);
  };

  // The bytes of a native operation; what it refuses has the name of the exception in front.
  const native = (operation, ...args) => {
    const result = host.crypto(operation, ...args);
    if (typeof result !== "string") return result;
    const at = result.indexOf(": ");
    return fail(result.slice(0, at), result.slice(at + 2));
  };

  // A copy of what the caller gave, who may change it while he waits.
  const bytesOf = (data) => {
    if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
    if (!ArrayBuffer.isView(data)) throw new TypeError("The data must be an ArrayBuffer or a view of one");
    return new Uint8Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
  };

  // Algorithms are a string or an object with a name, of which the case does not count.
  const named = (algorithm, names) => {
    const given = typeof algorithm === "object" && algorithm !== null ? algorithm : { name: algorithm };
    const name = names.find((known) => known.toUpperCase() === `${given.name}`.toUpperCase());
    if (name === undefined) fail("NotSupportedError", `Unrecognized algorithm name: ${given.name}`);
    return { ...given, name };
  };
  const HASH_BITS = { "SHA-1": 160, "SHA-256": 256, "SHA-384": 384, "SHA-512": 512 };
  const hashOf = (algorithm) => {
    if (algorithm.hash === undefined) throw new TypeError(`${algorithm.name} needs a hash`);
    return named(algorithm.hash, Object.keys(HASH_BITS)).name;
  };

  const secret = (usages) => ({ secret: usages });
  const pair = (publicUsages, privateUsages) => ({ public: publicUsages, private: privateUsages });
  const CIPHER = ["encrypt", "decrypt", "wrapKey", "unwrapKey"];
  const DERIVE = ["deriveKey", "deriveBits"];
  // What keys of each algorithm and type may be used for.
  const USAGES = {
    HMAC: secret(["sign", "verify"]),
    "AES-GCM": secret(CIPHER),
    "AES-CBC": secret(CIPHER),
    "AES-CTR": secret(CIPHER),
    PBKDF2: secret(DERIVE),
    HKDF: secret(DERIVE),
    "RSASSA-PKCS1-v1_5": pair(["verify"], ["sign"]),
    "RSA-PSS": pair(["verify"], ["sign"]),
    "RSA-OAEP": pair(["encrypt", "wrapKey"], ["decrypt", "unwrapKey"]),
    ECDSA: pair(["verify"], ["sign"]),
    ECDH: pair([], DERIVE),
    Ed25519: pair(["verify"], ["sign"]),
    X25519: pair([], DERIVE),
  };
  const ALL_USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];

  const token = {};
  let materialOf;
  class CryptoKey {
    #type;
    #extractable;
    #algorithm;
    #usages;
    #material;
    static {
      materialOf = (key) => key.#material;
    }
    constructor(proof, type, extractable, algorithm, usages, material) {
      if (proof !== token) throw new TypeError("Illegal constructor");
      this.#type = type;
      this.#extractable = extractable;
      this.#algorithm = algorithm;
      this.#usages = usages;
      this.#material = material;
    }
    get type() {
      return this.#type;
    }
    get extractable() {
      return this.#extractable;
    }
    get algorithm() {
      return this.#algorithm;
    }
    get usages() {
      return [...this.#usages];
    }
    get [Symbol.toStringTag]() {
      return "CryptoKey";
    }
  }

  const fromBase64Url = (text) => {
    try {
      if (typeof text === "string") return Uint8Array.fromBase64(text, { alphabet: "base64url" });
    } catch {
      // As below.
    }
    return fail("DataError", "A member of the key is no base64url");
  };
  const toBase64Url = (bytes) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  const concat = (...parts) => new Uint8Array(parts.flatMap((part) => [...part]));

  // Ed25519 and X25519 keys in DER are their 32 bytes after one of these.
  const okpPrefix = (format, name) =>
    Uint8Array.fromHex(`${format === "pkcs8" ? "302e020100300506032b65" : "302a300506032b65"}${name === "Ed25519" ? "70" : "6e"}${format === "pkcs8" ? "04220420" : "032100"}`);

  const checkJwk = (jwk, type, extractable, usages) => {
    if (typeof jwk !== "object" || jwk === null || ArrayBuffer.isView(jwk) || jwk instanceof ArrayBuffer) {
      throw new TypeError("A key in the format jwk is an object");
    }
    if (jwk.kty !== type) fail("DataError", `The key's kty must be ${type}`);
    if (jwk.ext === false && extractable) fail("DataError", "The key may not be extractable");
    if (jwk.key_ops !== undefined && !usages.every((usage) => jwk.key_ops.includes(usage))) {
      fail("DataError", "The key's key_ops do not allow these usages");
    }
  };

  const FORMATS = "raw, pkcs8, spki or jwk";
  const badFormat = (format, name) => fail("NotSupportedError", `The format of ${name} keys is one of ${FORMATS}, not ${format}`);

  // Families of algorithms. read: format and data to type, material and details; write: the reverse.
  const symmetric = {
    read(format, data, algorithm, extractable, usages) {
      let material;
      if (format === "raw") {
        material = bytesOf(data);
      } else if (format === "jwk" && algorithm.name !== "PBKDF2" && algorithm.name !== "HKDF") {
        checkJwk(data, "oct", extractable, usages);
        material = fromBase64Url(data.k);
      } else {
        badFormat(format, algorithm.name);
      }
      const bits = material.length * 8;
      if (algorithm.name.startsWith("AES-") && ![128, 192, 256].includes(bits)) fail("DataError", "A key of AES has 128, 192 or 256 bits");
      if (algorithm.name !== "HMAC") return { type: "secret", material, details: algorithm.name.startsWith("AES-") ? { length: bits } : {} };
      if (bits === 0) fail("DataError", "The key is empty");
      return { type: "secret", material, details: { hash: { name: hashOf(algorithm) }, length: algorithm.length ?? bits } };
    },
    write(format, key, material) {
      if (format === "raw") return material.slice().buffer;
      if (format !== "jwk") badFormat(format, key.algorithm.name);
      const { name, length, hash } = key.algorithm;
      const alg = name === "HMAC" ? `HS${hash.name.slice(4)}` : `A${length}${name.slice(4)}`;
      return { kty: "oct", k: toBase64Url(material), alg };
    },
  };

  const RSA_ALG = { "RSASSA-PKCS1-v1_5": "RS", "RSA-PSS": "PS" };
  const RSA_MEMBERS = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
  // Numbers with their length in 4 bytes before each.
  const split = (bytes) => {
    const numbers = [];
    for (let at = 0; at < bytes.length; ) {
      const length = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0);
      numbers.push(bytes.slice(at + 4, (at += 4 + length)));
    }
    return numbers;
  };
  const rsa = {
    read(format, data, algorithm, extractable, usages) {
      const hash = { name: hashOf(algorithm) };
      let type = format === "pkcs8" ? "private" : "public";
      let material;
      if (format === "pkcs8") {
        material = native("rsa.privateKey", bytesOf(data));
      } else if (format === "spki") {
        material = native("rsa.publicKey", bytesOf(data));
      } else if (format === "jwk") {
        checkJwk(data, "RSA", extractable, usages);
        type = data.d === undefined ? "public" : "private";
        material = native("rsa.fromParts", ...(type === "public" ? ["n", "e"] : ["n", "e", "d", "p", "q"]).map((member) => fromBase64Url(data[member])));
      } else {
        badFormat(format, algorithm.name);
      }
      const [n, publicExponent] = split(native(`rsa.${type}Parts`, material));
      const modulusLength = n.length * 8 - Math.clz32(n[0]) + 24;
      return { type, material, details: { modulusLength, publicExponent, hash } };
    },
    write(format, key, material) {
      if (format === (key.type === "private" ? "pkcs8" : "spki")) return material.slice().buffer;
      if (format !== "jwk") fail("InvalidAccessError", `A ${key.type} key has no format ${format}`);
      const { name, hash } = key.algorithm;
      const bits = hash.name.slice(4);
      const alg = RSA_ALG[name] === undefined ? (bits === "1" ? "RSA-OAEP" : `RSA-OAEP-${bits}`) : `${RSA_ALG[name]}${bits}`;
      const jwk = { kty: "RSA", alg };
      split(native(`rsa.${key.type}Parts`, material)).forEach((part, i) => (jwk[RSA_MEMBERS[i]] = toBase64Url(part)));
      return jwk;
    },
  };

  const COORDINATE_BYTES = { "P-256": 32, "P-384": 48 };
  const nist = {
    read(format, data, algorithm, extractable, usages) {
      const curve = algorithm.namedCurve;
      if (!Object.hasOwn(COORDINATE_BYTES, curve)) fail("NotSupportedError", `Unrecognized curve: ${curve}`);
      const details = { namedCurve: curve };
      if (format === "raw") return { type: "public", material: native("curve.public", curve, bytesOf(data)), details };
      if (format === "spki") return { type: "public", material: native("curve.publicFromDer", curve, bytesOf(data)), details };
      if (format === "pkcs8") return { type: "private", material: native("curve.privateFromDer", curve, bytesOf(data)), details };
      if (format !== "jwk") badFormat(format, algorithm.name);
      checkJwk(data, "EC", extractable, usages);
      if (data.crv !== curve) fail("DataError", `The key's crv must be ${curve}`);
      const point = native("curve.public", curve, concat([4], fromBase64Url(data.x), fromBase64Url(data.y)));
      if (data.d === undefined) return { type: "public", material: point, details };
      const material = fromBase64Url(data.d);
      const own = native("curve.publicOfPrivate", curve, material);
      if (own.toHex() !== point.toHex()) fail("DataError", "The public and the private part of the key do not belong together");
      return { type: "private", material, details };
    },
    write(format, key, material) {
      const curve = key.algorithm.namedCurve;
      const isPrivate = key.type === "private";
      if (format === "jwk") {
        const point = isPrivate ? native("curve.publicOfPrivate", curve, material) : material;
        const size = COORDINATE_BYTES[curve];
        const jwk = { kty: "EC", crv: curve, x: toBase64Url(point.slice(1, 1 + size)), y: toBase64Url(point.slice(1 + size)) };
        return isPrivate ? { ...jwk, d: toBase64Url(material) } : jwk;
      }
      if (format === "pkcs8" && isPrivate) return native("curve.privateToDer", curve, material).buffer;
      if (format === "spki" && !isPrivate) return native("curve.publicToDer", curve, material).buffer;
      if (format === "raw" && !isPrivate) return material.slice().buffer;
      return fail("InvalidAccessError", `A ${key.type} key has no format ${format}`);
    },
  };

  const okp = {
    read(format, data, algorithm, extractable, usages) {
      const { name } = algorithm;
      const sized = (type, material) => {
        if (material.length !== 32) fail("DataError", `A key of ${name} has 32 bytes`);
        return { type, material, details: {} };
      };
      if (format === "raw") return sized("public", bytesOf(data));
      if (format === "spki" || format === "pkcs8") {
        const prefix = okpPrefix(format, name);
        const der = bytesOf(data);
        if (der.slice(0, prefix.length).toHex() !== prefix.toHex()) fail("DataError", `This is no key of ${name}`);
        return sized(format === "spki" ? "public" : "private", der.slice(prefix.length));
      }
      if (format !== "jwk") badFormat(format, name);
      checkJwk(data, "OKP", extractable, usages);
      if (data.crv !== name) fail("DataError", `The key's crv must be ${name}`);
      return data.d === undefined ? sized("public", fromBase64Url(data.x)) : sized("private", fromBase64Url(data.d));
    },
    write(format, key, material) {
      const { name } = key.algorithm;
      const isPrivate = key.type === "private";
      if (format === "jwk") {
        const x = isPrivate ? native("curve.publicOfPrivate", name, material) : material;
        const jwk = { kty: "OKP", crv: name, x: toBase64Url(x) };
        return isPrivate ? { ...jwk, d: toBase64Url(material) } : jwk;
      }
      if (format === (isPrivate ? "pkcs8" : "spki")) return concat(okpPrefix(format, name), material).buffer;
      if (format === "raw" && !isPrivate) return material.slice().buffer;
      return fail("InvalidAccessError", `A ${key.type} key has no format ${format}`);
    },
  };

  const familyOf = (name) => {
    if (USAGES[name].secret !== undefined) return symmetric;
    if (name.startsWith("RSA")) return rsa;
    return name.startsWith("EC") ? nist : okp;
  };

  function importKey(format, data, algorithm, extractable, usages) {
    const wanted = named(algorithm, Object.keys(USAGES));
    const { name } = wanted;
    const uses = ALL_USAGES.filter((usage) => usages.includes(usage));
    if (usages.some((usage) => !ALL_USAGES.includes(usage))) throw new TypeError("An unknown usage of a key");
    const { type, material, details } = familyOf(name).read(`${format}`, data, wanted, Boolean(extractable), uses);
    if (!uses.every((usage) => USAGES[name][type].includes(usage))) fail("SyntaxError", `A ${type} key of ${name} can not be used for this`);
    if (uses.length === 0 && type !== "public") fail("SyntaxError", "A key must have a usage");
    if (extractable && (name === "PBKDF2" || name === "HKDF")) fail("SyntaxError", `A key of ${name} is not extractable`);
    return new CryptoKey(token, type, Boolean(extractable) || type === "public", { name, ...details }, uses, material);
  }

  function exportKey(format, key) {
    if (!(key instanceof CryptoKey)) throw new TypeError("exportKey takes a CryptoKey");
    if (!key.extractable) fail("InvalidAccessError", "The key is not extractable");
    const exported = familyOf(key.algorithm.name).write(`${format}`, key, materialOf(key));
    return format === "jwk" ? { ...exported, key_ops: key.usages, ext: key.extractable } : exported;
  }

  return { CryptoKey, HASH_BITS, USAGES, bytesOf, exportKey, fail, hashOf, importKey, materialOf, named, native };
})
