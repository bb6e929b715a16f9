// Set-ups that cannot work: each says at once what is wrong and what to do, and harms nothing that runs.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { chown, mkdir, mkdtemp, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import pg from "pg";
import { freePort, killAndWait, outcomeOf } from "../lib/processes.mjs";
import { copyApp, PG_LIVE, Server, TEST_APP } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const run = promisify(execFile);

/** @type {Server} */ let server;
let admin;

before(async () => {
  server = await Server.start();
  admin = server.sql({ admin: true });
});

after(async () => {
  await server?.stop();
});

async function assertStillUp() {
  assert.equal((await fetch(`${server.url}/version`)).status, 200);
  assert.equal((await admin.query("SELECT 1 AS one")).rows[0].one, 1);
}

/** Runs the program, which must refuse; resolves to all that it said. */
async function refused(args, options) {
  const { code, stdout, stderr } = await outcomeOf(PG_LIVE, args, options);
  assert.notEqual(code, 0, `${args[0]} went through\n${stdout}`);
  await assertStillUp();
  return `${stdout}\n${stderr}`;
}

/** The URL of another database of the same cluster. */
function urlOf(database, base = server.env.PG_LIVE_ADMIN_URL) {
  const url = new URL(base);
  url.pathname = `/${database}`;
  return url.href;
}

test("dev: the port is taken", async () => {
  const app = join(server.root, "other");
  await copyApp(TEST_APP, app);
  const said = await refused(["dev", app, "--dir", join(server.root, "other-data"), "--port", String(server.port)]);
  assert.match(said, new RegExp(`port ${server.port}.*taken`));
  assert.match(said, /--port/);
  await rm(app, { recursive: true });
});

test("dev: a second one for the same app", async () => {
  const said = await refused(["dev", server.app, "--dir", server.dir, "--port", String(await freePort())]);
  assert.match(said, /already runs/);
  assert.match(said, /pg-live stop/);
});

test("dev: no Postgres", async () => {
  const app = join(server.root, "other");
  await copyApp(TEST_APP, app);
  const said = await refused(["dev", app, "--port", String(await freePort())], {
    env: { ...process.env, PG_LIVE_SERVER_TREE: join(server.root, "no-such-tree") },
  });
  assert.match(said, /Postgres 15 were not found/);
  assert.match(said, /install/i);
  await rm(app, { recursive: true });
});

test("dev and deploy: a folder that is no app", async () => {
  const folder = join(server.root, "empty");
  await mkdir(folder);
  for (const command of ["dev", "deploy"]) {
    assert.match(await refused([command, folder]), /convex|package\.json/);
    assert.match(await refused([command, join(server.root, "nowhere")]), /nowhere/);
  }
});

test("dev: an app whose packages are not installed", async () => {
  const app = join(server.root, "bare");
  await copyApp(TEST_APP, app);
  await rm(join(app, "node_modules"));
  assert.match(await refused(["dev", app, "--port", String(await freePort())]), /npm (ci|install)/);
});

test("serve: the port is taken", async () => {
  const said = await refused(["serve", "--url", server.env.PG_LIVE_RELAY_URL, "--listen", `127.0.0.1:${server.port}`]);
  assert.match(said, new RegExp(`${server.port}`));
  assert.match(said, /in use/);
});

test("serve: an address that is no URL", async () => {
  const said = await refused(["serve", "--url", "nonsense", "--listen", `127.0.0.1:${await freePort()}`]);
  assert.match(said, /URL/);
});

test("deploy: no such database, no such server, a wrong password, no extension", async () => {
  const deploy = (url) => refused(["deploy", server.app, "--url", url]);
  assert.match(await deploy(urlOf("nowhere")), /"nowhere" does not exist/);
  assert.match(await deploy(`postgres://a:b@127.0.0.1:${await freePort()}/x`), /refused|connect/i);
  const wrong = new URL(server.env.DATABASE_URL);
  wrong.password = "wrong";
  assert.match(await deploy(wrong.href), /password authentication failed/);
  assert.match(await deploy(urlOf("postgres")), /CREATE EXTENSION/);
});

test("CREATE EXTENSION in a database that is not UTF8", async () => {
  await admin.query("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
  const client = new pg.Client({ connectionString: urlOf("latin") });
  await client.connect();
  await assert.rejects(client.query("CREATE EXTENSION pg_live"), (error) => {
    assert.match(error.message, /UTF8/);
    assert.match(error.code, /^LV/);
    assert.ok(error.hint?.length > 0, "it says what to do");
    return true;
  });
  await client.end();
  await assertStillUp();
});

test("CREATE EXTENSION in a server that does not preload it", { timeout: 120_000 }, async () => {
  const bare = await BareCluster.start();
  try {
    const client = new pg.Client({ connectionString: bare.url });
    await client.connect();
    await assert.rejects(client.query("CREATE EXTENSION pg_live"), (error) => {
      assert.match(`${error.message} ${error.hint}`, /shared_preload_libraries/);
      assert.match(error.code, /^LV/);
      return true;
    });
    assert.equal((await client.query("SELECT 1 AS one")).rows[0].one, 1);
    await client.end();
  } finally {
    await bare.stop();
  }
  await assertStillUp();
});

/** A cluster made with the same programs, as the same user, and with nothing preloaded. */
class BareCluster {
  static async start() {
    const { rows } = await admin.query("SELECT setting FROM pg_settings WHERE name = 'data_directory'");
    const [pid] = (await readFile(join(rows[0].setting, "postmaster.pid"), "utf8")).split("\n");
    const bin = dirname(await readlink(`/proc/${pid}/exe`));
    const { uid, gid } = await stat(rows[0].setting);
    const identity = process.getuid() === 0 ? { uid, gid } : {};
    const data = await mkdtemp(join(tmpdir(), "pg-live-bare-"));
    await chown(data, uid, gid);
    const port = await freePort();
    const options = { ...identity, cwd: "/" };
    await run(join(bin, "initdb"), ["-D", data, "-A", "trust", "-U", "postgres", "--locale=C", "-E", "UTF8", "--no-sync"], options);
    await writeFile(join(data, "postgresql.conf"), `listen_addresses = '127.0.0.1'\nport = ${port}\nunix_socket_directories = ''\n`);
    const cluster = new BareCluster();
    cluster.data = data;
    cluster.url = `postgres://postgres@127.0.0.1:${port}/postgres`;
    cluster.process = spawn(join(bin, "postgres"), ["-D", data], { ...options, stdio: "ignore" });
    await until("the bare cluster answers", async () => {
      const client = new pg.Client({ connectionString: cluster.url });
      client.on("error", () => {});
      await client.connect();
      await client.end();
      return true;
    });
    return cluster;
  }

  async stop() {
    await killAndWait(this.process.pid, "SIGINT");
    await rm(this.data, { recursive: true, force: true });
  }
}
