// An issuer of tokens: keys, an OpenID Connect description and signed tokens, on a port of its own.
import { createServer } from "node:http";
import { createSign, generateKeyPairSync, sign } from "node:crypto";

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

const KINDS = {
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
};

/** A key with its id. */
export class Key {
  constructor(algorithm, kid) {
    Object.assign(this, KINDS[algorithm](), { algorithm, kid });
  }

  /** The public half, as key sets list it. */
  jwk() {
    return { ...this.publicKey.export({ format: "jwk" }), alg: this.algorithm, kid: this.kid, use: "sig" };
  }

  /** A token with these claims; `header` overrides parts of its header. */
  token(claims, header = {}) {
    const text = `${encode({ alg: this.algorithm, typ: "JWT", kid: this.kid, ...header })}.${encode(claims)}`;
    return `${text}.${this.#sign(text).toString("base64url")}`;
  }

  #sign(text) {
    if (this.algorithm === "EdDSA") return sign(null, Buffer.from(text), this.privateKey);
    const signer = createSign("SHA256").update(text);
    return signer.sign({ key: this.privateKey, dsaEncoding: "ieee-p1363" });
  }
}

export class Issuer {
  /** The keys that it shows. */
  keys = [];
  /** How often they were asked for. */
  asked = 0;
  /** Answers with an error. */
  broken = false;

  static async start() {
    const issuer = new Issuer();
    issuer.server = createServer((request, response) => issuer.#answer(request, response));
    await new Promise((listening) => issuer.server.listen(0, "127.0.0.1", listening));
    issuer.url = `http://127.0.0.1:${issuer.server.address().port}`;
    return issuer;
  }

  #answer({ url }, response) {
    if (this.broken) return response.writeHead(500).end("broken");
    response.setHeader("content-type", "application/json");
    if (url === "/.well-known/openid-configuration") {
      return response.end(JSON.stringify({ issuer: `${this.url}/`, jwks_uri: `${this.url}/keys` }));
    }
    if (url !== "/keys") return response.writeHead(404).end();
    this.asked += 1;
    response.end(JSON.stringify({ keys: this.keys.map((key) => key.jwk()) }));
  }

  close() {
    this.server.close();
  }
}
