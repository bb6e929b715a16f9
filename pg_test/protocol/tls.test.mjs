// TLS to Postgres, with the modes of psql.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { startRelay } from "../lib/relay.mjs";
import { Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

/** @type {Server} */ let server;
let admin;
let dir;

const openssl = (...args) => execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });

/** An authority, and a certificate of the server that it has signed. */
async function certificates() {
  for (const authority of ["ca", "other"]) {
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
      "-subj", `/CN=${authority}`, "-keyout", `${authority}.key`, "-out", `${authority}.pem`);
  }
  await writeFile(join(dir, "names"), "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
  openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=server",
    "-keyout", "server.key", "-out", "server.csr");
  openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
    "-extfile", "names", "-out", "server.pem");
}

before(async () => {
  server = await Server.start({ ownRelay: false });
  admin = server.sql({ admin: true });
  dir = join(server.root, "tls");
  await mkdir(dir);
  await chmod(dir, 0o755);
  await certificates();
  const { rows } = await admin.query("SHOW data_directory");
  const { uid, gid } = await stat(rows[0].data_directory);
  await chown(join(dir, "server.key"), uid, gid);
  await chmod(join(dir, "server.key"), 0o600);
  for (const [name, value] of [["ssl_cert_file", "server.pem"], ["ssl_key_file", "server.key"]]) {
    await admin.query(`ALTER SYSTEM SET ${name} = '${join(dir, value)}'`);
  }
  await admin.query("ALTER SYSTEM SET ssl = on");
  await admin.query("SELECT pg_reload_conf()");
  await until("the server has TLS", async () => (await admin.query("SHOW ssl")).rows[0].ssl === "on");
});

after(async () => {
  await server?.stop();
});

/** `pg-live env list` by a URL with these parameters, from this host. */
async function connected(parameters, host = "127.0.0.1") {
  const url = new URL(server.env.DATABASE_URL);
  url.hostname = host;
  const query = new URLSearchParams(parameters);
  const { code, stderr } = await server.run(["env", "list", "--url", `${url}?${query}`], {
    env: { ...process.env, HOME: join(server.root, "nobody") },
  });
  return code === 0 ? "connected" : stderr;
}

describe("the modes of TLS", () => {
  const file = (name) => join(dir, name);
  const good = () => ({ sslrootcert: file("ca.pem") });
  const wrong = () => ({ sslrootcert: file("other.pem") });
  const cases = [
    ["disable", {}, "127.0.0.1", "connected"],
    ["prefer", {}, "127.0.0.1", "connected"],
    ["require", {}, "localhost", "connected"],
    ["require", wrong, "127.0.0.1", /certificate/i],
    ["verify-ca", good, "127.0.0.1", "connected"],
    ["verify-ca", good, "localhost", "connected"],
    ["verify-ca", wrong, "127.0.0.1", /certificate/i],
    ["verify-ca", {}, "127.0.0.1", /sslrootcert/],
    ["verify-full", good, "127.0.0.1", "connected"],
    ["verify-full", good, "localhost", /not valid for name|certificate/i],
    ["verify-full", wrong, "127.0.0.1", /certificate/i],
    ["nonsense", {}, "127.0.0.1", /sslmode "nonsense"/],
  ];
  for (const [sslmode, options, host, expected] of cases) {
    const more = typeof options === "function" ? options : () => ({});
    const name = options === wrong ? " with another authority" : options === good ? " with its authority" : "";
    test(`${sslmode}${name} to ${host}: ${expected}`, async () => {
      const result = await connected({ sslmode, ...more() }, host);
      if (typeof expected === "string") assert.equal(result, expected);
      else assert.match(result, expected);
    });
  }
});

test("the relay's connections are encrypted", async () => {
  const url = `${server.env.PG_LIVE_RELAY_URL}?sslmode=verify-full&sslrootcert=${encodeURIComponent(join(dir, "ca.pem"))}`;
  const relay = await startRelay(server, { databaseUrl: url });
  try {
    const { value } = await (await fetch(`${relay.url}/api/query`, {
      method: "POST",
      body: JSON.stringify({ path: "messages:count", args: {} }),
    })).json();
    assert.equal(value, 0);
    await until("it is attached", async () => (await fetch(`${relay.url}/readyz`)).ok);
    const { rows } = await admin.query(
      `SELECT DISTINCT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
       WHERE application_name = 'pg-live relay' AND pg_stat_activity.pid IN
         (SELECT pid FROM pg_stat_ssl WHERE ssl)`,
    );
    assert.deepEqual(rows, [{ ssl: true, version: "TLSv1.3" }]);
  } finally {
    relay.process.kill("SIGKILL");
  }
});
