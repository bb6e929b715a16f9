// Starts and stops `pg-live dev` for a copy of an app, and breaks parts of it on request.
import { spawn } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, open, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { freePort, killAndWait, outcomeOf, pidListeningOn } from "./processes.mjs";
import { until } from "./wait.mjs";

const TESTS = dirname(dirname(fileURLToPath(import.meta.url)));

/** The program under test. */
export const PG_LIVE = process.env.PG_LIVE_BIN ?? join(dirname(TESTS), "target/release/pg-live");

/** The app that the tests deploy unless they name another. */
export const TEST_APP = join(TESTS, "e2e/app");

const START_TIMEOUT = 180_000;

/** Copies an app's functions to a folder of their own, with npm packages beside them. */
export async function copyApp(source, target) {
  await mkdir(target, { recursive: true });
  await cp(join(source, "convex"), join(target, "convex"), { recursive: true });
  await cp(join(TEST_APP, "package.json"), join(target, "package.json"));
  await symlink(join(TESTS, "node_modules"), join(target, "node_modules"));
}

/** The variables of a file of lines NAME=value or export NAME='value'. */
async function readEnv(file) {
  const variables = {};
  for (const line of (await readFile(file, "utf8")).split("\n")) {
    const match = /^(?:export\s+)?(\w+)=(.*)$/.exec(line.trim());
    if (match !== null) {
      variables[match[1]] = match[2].replace(/^(['"])(.*)\1$/, "$2");
    }
  }
  return variables;
}

export class Server {
  #pools = [];
  #relay;

  constructor(root, port) {
    this.root = root;
    this.app = join(root, "app");
    this.dir = join(root, "data");
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /**
   * Starts a server for a copy of `source`. With `ownRelay`, clients are to
   * use a relay that runs by itself, as in production, so that it alone can
   * be killed: `url` is that one's.
   */
  static async start({ source = TEST_APP, ownRelay = false } = {}) {
    const root = await mkdtemp(join(tmpdir(), "pg-live-test-"));
    await chmod(root, 0o755); // Postgres may run as another user.
    const server = new Server(root, await freePort());
    await copyApp(source, server.app);
    try {
      await server.startDev();
      if (process.env.MODE === "wal") {
        await server.captureFromWal();
      }
      if (ownRelay) {
        server.relayPort = await freePort();
        server.url = `http://127.0.0.1:${server.relayPort}`;
        await server.startRelay();
      }
    } catch (error) {
      await server.stop().catch(() => {});
      throw error;
    }
    return server;
  }

  /** Runs the program with arguments; resolves to its exit code and output. */
  run(args, options) {
    return outcomeOf(PG_LIVE, args, { timeout: START_TIMEOUT, ...options });
  }

  /** `pg-live dev` in the background. */
  async startDev() {
    const { code, stdout, stderr } = await this.run([
      "dev", this.app, "--dir", this.dir, "--port", String(this.port), "--detach",
    ]);
    if (code !== 0) {
      throw new Error(`${PG_LIVE} dev ended with ${code}\n${stdout}\n${stderr}`);
    }
    this.env = await readEnv(join(this.dir, "env"));
  }

  /** Starts anew with settings of Postgres, given as `name = value`. */
  async configure(...settings) {
    const admin = await this.#connectAdmin();
    for (const setting of settings) {
      await admin.query(`ALTER SYSTEM SET ${setting}`);
    }
    await admin.end();
    await this.run(["stop", this.app, "--dir", this.dir]);
    await this.startDev();
  }

  /** Has all tables captured from the WAL, those that come later too. */
  async captureFromWal() {
    await this.configure("wal_level = logical", "pg_live.capture = wal");
    const admin = await this.#connectAdmin();
    const { rows } = await admin.query("SELECT live.apply_capture()::int AS tables");
    await admin.end();
    if (rows[0].tables === 0) {
      throw new Error("no table is captured from the WAL");
    }
  }

  /** Starts the relay of its own. */
  async startRelay() {
    const args = ["serve", "--url", this.env.PG_LIVE_RELAY_URL, "--listen", `127.0.0.1:${this.relayPort}`];
    const log = await open(join(this.root, "relay.log"), "a");
    this.#relay = spawn(PG_LIVE, args, { stdio: ["ignore", log.fd, log.fd] });
    await log.close();
    await until("the relay answers", async () => (await fetch(`${this.url}/version`)).ok);
  }

  /** kill -9 of the relay of its own. */
  async killRelay() {
    await killAndWait(this.#relay.pid, "SIGKILL");
  }

  /** kill -9 of `pg-live dev`: it leaves Postgres behind, and the next start has to deal with that. */
  async killDev() {
    await killAndWait(await pidListeningOn(this.port), "SIGKILL");
  }

  /** Connections as the app's owner, or as the superuser; closed by `stop`. */
  sql({ admin = false, max = 8 } = {}) {
    const connectionString = admin ? this.env.PG_LIVE_ADMIN_URL : this.env.DATABASE_URL;
    const pool = new pg.Pool({ connectionString, max });
    // A connection that a test cut is no failure: the statement on it fails, if there is one.
    pool.on("error", () => {});
    pool.on("connect", (client) => client.on("error", () => {}));
    this.#pools.push(pool);
    return pool;
  }

  /** `pg-live deploy` of another folder to this server's database. */
  deploy(app) {
    return this.run(["deploy", app, "--url", this.env.DATABASE_URL]);
  }

  /** kill -9 of the extension's background worker. */
  async killWorker() {
    const admin = await this.#connectAdmin();
    const { rows } = await admin.query(
      "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_live worker'",
    );
    await admin.end().catch(() => {});
    if (rows.length === 0) {
      throw new Error("no background worker of pg_live runs");
    }
    for (const { pid } of rows) {
      await killAndWait(pid, "SIGKILL");
    }
  }

  /**
   * Ends Postgres by a signal (SIGINT: a fast shutdown, SIGQUIT: an immediate
   * one, SIGKILL: a crash); `pg-live dev` starts it again.
   */
  async endPostgres(signal) {
    const admin = await this.#connectAdmin();
    const { rows } = await admin.query("SELECT setting FROM pg_settings WHERE name = 'data_directory'");
    await admin.end();
    const pidFile = await readFile(join(rows[0].setting, "postmaster.pid"), "utf8");
    await killAndWait(Number(pidFile.split("\n")[0]), signal);
  }

  /** Resolves once the database takes a statement again. */
  async whenDatabaseIsUp() {
    await until("Postgres answers", async () => {
      const admin = await this.#connectAdmin();
      await admin.end();
      return true;
    }, { timeout: 60_000, every: 100 });
  }

  /** Stops everything and removes its files, unless PG_LIVE_KEEP is set. */
  async stop() {
    await Promise.all(this.#pools.map((pool) => pool.end().catch(() => {})));
    this.#relay?.kill("SIGKILL");
    await this.run(["stop", this.app, "--dir", this.dir]);
    if (process.env.PG_LIVE_KEEP === undefined) {
      await rm(this.root, { recursive: true, force: true });
    }
  }

  async #connectAdmin() {
    const client = new pg.Client({ connectionString: this.env.PG_LIVE_ADMIN_URL, connectionTimeoutMillis: 5_000 });
    client.on("error", () => {});
    await client.connect();
    return client;
  }
}
