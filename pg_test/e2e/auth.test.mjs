// Sign-in with tokens, and environment variables, by the real npm clients and an issuer of tokens.
import assert from "node:assert/strict";
import { cp, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { anyApi } from "convex/server";
import { Issuer, Key } from "../lib/issuer.mjs";
import { copyApp, Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const SOURCE = join(dirname(fileURLToPath(import.meta.url)), "auth-app");
const CONFIG = `export default { providers: [
  { domain: process.env.ISSUER, applicationID: "app" },
  { type: "customJwt", issuer: "https://own.example/", algorithm: "ES256",
    jwks: process.env.OWN_KEYS, applicationID: null },
] };
`;

/** @type {Server} */ let server;
/** @type {Issuer} */ let issuer;
const first = new Key("RS256", "first");
const own = new Key("ES256", "own");
let owner;
let changed;

const now = () => Math.floor(Date.now() / 1000);
const claims = (more = {}) => ({
  iss: issuer.url, aud: "app", sub: "ann", iat: now(), exp: now() + 3600, name: "Ann É", admin: true, ...more,
});
const setVariable = (name, value) => owner.query("SELECT live.set_environment($1, $2)", [name, value]);

function http(token) {
  const client = new ConvexHttpClient(server.url, { logger: false });
  if (token !== undefined) client.setAuth(token);
  return client;
}

/** What the relay answers to a token over HTTP. */
async function refusal(token) {
  const response = await fetch(`${server.url}/api/query`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ path: "users:me", args: {} }),
  });
  assert.equal(response.status, 401, await response.clone().text());
  return response.json();
}

before(async () => {
  issuer = await Issuer.start();
  issuer.keys = [first];
  server = await Server.start({ source: SOURCE });
  owner = server.sql();
  changed = join(server.root, "changed");
  await copyApp(SOURCE, changed);
  await cp(join(SOURCE, "convex"), join(changed, "convex"), { recursive: true });
  await writeFile(join(changed, "convex/auth.config.ts"), CONFIG);
});

after(async () => {
  issuer?.close();
  await server?.stop();
});

describe("environment variables", () => {
  test("are found in functions, at import too, and a change runs what is live again", async () => {
    const client = new ConvexClient(server.url);
    const seen = [];
    client.onUpdate(anyApi.users.environment, {}, (value) => seen.push(value));
    await until("it is shown", () => seen.length === 1);
    assert.deepEqual(seen[0], ["nothing", "nothing", false, "production"]);
    await setVariable("GREETING", "hello");
    await until("the change is shown", () => seen.length === 2);
    assert.deepEqual(seen[1], ["hello", "hello", true, "production"]);
    await setVariable("GREETING", null);
    await until("the removal is shown", () => seen.length === 3);
    assert.deepEqual(seen[2], seen[0]);
    await client.close();
  });

  test("have names and bounds", async () => {
    await assert.rejects(setVariable("not a name", "x"), { code: "22023" });
    await assert.rejects(setVariable("LONG", "x".repeat(8193)), { code: "22023" });
    const relay = await owner.query("SELECT has_table_privilege('live_relay', 'live.environment', 'SELECT') AS may");
    assert.equal(relay.rows[0].may, false);
  });
});

describe("providers", () => {
  test("without any, no token is accepted", async () => {
    const { code, message } = await refusal(first.token(claims()));
    assert.equal(code, "NoAuthProvider");
    assert.match(message, /auth\.config/);
  });

  test("a variable that is not set refuses the deploy by its name", async () => {
    const { code, stderr } = await server.deploy(changed);
    assert.notEqual(code, 0);
    assert.match(stderr, /Environment variable ISSUER /);
  });

  test("a mistake is named", async () => {
    const file = join(changed, "convex/auth.config.ts");
    await writeFile(file, `export default { providers: [{ domain: "https://x", applicationId: "app" }] };`);
    const { stderr } = await server.deploy(changed);
    assert.match(stderr, /applicationID/);
    await writeFile(file, CONFIG);
  });

  test("a deploy brings them into force", async () => {
    await setVariable("ISSUER", issuer.url);
    await setVariable("OWN_KEYS", `data:application/json,${encodeURIComponent(JSON.stringify({ keys: [own.jwk()] }))}`);
    const { code, stderr } = await server.deploy(changed);
    assert.equal(code, 0, stderr);
    await until("they are in force", async () => (await http(first.token(claims())).query("users:me")) !== null);
  });
});

describe("tokens over HTTP", () => {
  test("say who it is, and never that it is an administrator", async () => {
    const user = await http(first.token(claims({ org: { id: 7 }, picture: "p" }))).query("users:me");
    assert.deepEqual(user, {
      tokenIdentifier: `${issuer.url}|ann`, issuer: issuer.url, subject: "ann", name: "Ann É",
      org: { id: 7 }, pictureUrl: "p", admin: true,
    });
    await assert.rejects(http(first.token(claims())).query("users:hidden"), /Could not find public function/);
    assert.equal(await http().query("users:me"), null);
  });

  test("of a custom provider, signed by another algorithm", async () => {
    const token = own.token(claims({ iss: "https://own.example", aud: undefined, properties: { email: "a@b" } }));
    const user = await http(token).query("users:me");
    assert.equal(user["properties.email"], "a@b");
    assert.equal(user.tokenIdentifier, "https://own.example|ann");
  });

  test("that are not good are refused with the reason", async () => {
    const cases = [
      ["nonsense", "InvalidAuthHeader", /parse/],
      [first.token(claims({ exp: now() - 60 })), "InvalidAuthHeader", /expired 6\d seconds ago/],
      [first.token(claims({ nbf: now() + 60 })), "InvalidAuthHeader", /valid in [56]\d seconds/],
      [first.token(claims({ exp: undefined })), "InvalidAuthHeader", /`exp`/],
      [first.token(claims({ sub: undefined })), "InvalidAuthHeader", /`sub`/],
      [first.token(claims({ aud: "other" })), "NoAuthProvider", /OIDC\(issuer=/],
      [first.token(claims({ iss: "https://x" })), "NoAuthProvider", /CustomJWT\(issuer=/],
      [first.token(claims(), { kid: "who" }), "InvalidAuthHeader", /"who"/],
      [new Key("RS256", "first").token(claims()), "InvalidAuthHeader", /signature/],
      [own.token(claims()), "InvalidAuthHeader", /signed by ES256/],
      [first.token(claims(), { alg: "none" }), "InvalidAuthHeader", /parse/],
    ];
    for (const [token, code, reason] of cases) {
      const answer = await refusal(token);
      assert.equal(answer.code, code, answer.message);
      assert.match(answer.message, reason);
    }
    assert.ok(await http(first.token(claims({ exp: now() - 2 }))).query("users:me"), "within the leeway");
  });

  test("a new key is found, the old ones stay while the issuer is away", async () => {
    const second = new Key("EdDSA", "second");
    issuer.keys = [first, second];
    await until("the new key is known", async () => {
      return await http(second.token(claims())).query("users:me").then(() => true, () => false);
    });
    const { asked } = issuer;
    issuer.broken = true;
    for (let n = 0; n < 20; n += 1) await http(second.token(claims())).query("users:me");
    await refusal(first.token(claims(), { kid: "unknown" }));
    issuer.broken = false;
    assert.ok(issuer.asked - asked <= 1, "keys are kept");
  });
});

describe("tokens over the WebSocket", () => {
  test("a client signs in, sees its own, refreshes and signs out", async (context) => {
    const client = new ConvexClient(server.url);
    context.after(() => client.close());
    const seen = [];
    client.onUpdate(anyApi.users.mine, {}, (notes) => seen.push(notes));
    await until("nobody's notes are shown", () => seen.length === 1);
    let fetched = 0;
    const states = [];
    client.setAuth(async () => ((fetched += 1), first.token(claims())), (state) => states.push(state));
    await until("signed in", () => states.includes(true));
    await client.mutation(anyApi.users.note, { text: "mine" });
    await until("the note is shown", () => seen.at(-1)[0] === "mine");
    assert.ok(fetched >= 2, "the token was confirmed and fetched anew");
    client.client.clearAuth();
    await until("nothing is shown any more", () => seen.at(-1).length === 0);
  });

  test("callers of the same query are each shown their own", async () => {
    const clients = [undefined, "ann", "bob"].map((sub) => {
      const client = new ConvexClient(server.url);
      const seen = [];
      if (sub !== undefined) {
        client.setAuth(async () => first.token(claims({ sub })));
      }
      client.onUpdate(anyApi.users.me, {}, (user) => seen.push(user));
      return { sub, client, seen };
    });
    try {
      for (const { sub, seen } of clients) {
        await until(`${sub} sees who it is`, () => seen.length > 0 && seen.at(-1)?.subject === sub);
      }
      for (const { sub, seen } of clients) {
        assert.ok(seen.every((user) => user === null || user.subject === sub), JSON.stringify(seen));
      }
    } finally {
      await Promise.all(clients.map(({ client }) => client.close()));
    }
  });

  test("a token that is refused leaves the client signed out", async () => {
    const client = new ConvexClient(server.url);
    const states = [];
    client.setAuth(async () => first.token(claims({ aud: "other" })), (state) => states.push(state));
    await until("it is told", () => states.includes(false));
    assert.equal(states.includes(true), false);
    assert.equal(await client.query(anyApi.users.me, {}), null);
    await client.close();
  });
});
