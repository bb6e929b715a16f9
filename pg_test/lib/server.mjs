// Starts and stops `pg-live dev` for a copy of an app, and breaks parts of it on request.
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { freePort, isAlive, outcomeOf, pidListeningOn, runAsOwnerOf } from "./processes.mjs";
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

  constructor(root, port) {
    this.root = root;
    this.app = join(root, "app");
    this.dir = join(root, "data");
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts a server for a copy of `source`. */
  static async start({ source = TEST_APP } = {}) {
    const root = await mkdtemp(join(tmpdir(), "pg-live-test-"));
    const server = new Server(root, await freePort());
    await copyApp(source, server.app);
    try {
      await server.startRelay();
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

  /** `pg-live dev`: starts whatever of it does not run. */
  async startRelay() {
    const { code, stdout, stderr } = await this.run([
      "dev", this.app, "--dir", this.dir, "--port", String(this.port), "--detach",
    ]);
    if (code !== 0) {
      const log = await readFile(join(this.dir, "dev.log"), "utf8").catch(() => "");
      throw new Error(`pg-live dev ended with ${code}\n${stdout}\n${stderr}\n${log}`);
    }
    this.env = await readEnv(join(this.dir, "env"));
  }

  /** Connections as the app's owner, or as the superuser; closed by `stop`. */
  sql({ admin = false, max = 8 } = {}) {
    const connectionString = admin ? this.env.PG_LIVE_ADMIN_URL : this.env.DATABASE_URL;
    const pool = new pg.Pool({ connectionString, max });
    pool.on("error", () => {}); // An idle connection that a test cut is no failure.
    this.#pools.push(pool);
    return pool;
  }

  /** `pg-live deploy` of another folder to this server's database. */
  deploy(app) {
    return this.run(["deploy", app, "--url", this.env.DATABASE_URL]);
  }

  /** kill -9 of the relay. */
  async killRelay() {
    const pid = await pidListeningOn(this.port);
    if (pid === undefined) {
      throw new Error(`nothing listens on port ${this.port}`);
    }
    process.kill(pid, "SIGKILL");
    await until("the relay is gone", () => !isAlive(pid));
  }

  /** kill -9 of the extension's background worker. */
  async killWorker() {
    const admin = await this.#connectAdmin();
    const { rows } = await admin.query(
      "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'pg_live%' ORDER BY backend_type",
    );
    await admin.end().catch(() => {});
    if (rows.length === 0) {
      throw new Error("no background worker of pg_live runs");
    }
    for (const { pid } of rows) {
      process.kill(pid, "SIGKILL");
      await until("the worker is gone", () => !isAlive(pid));
    }
  }

  /** Restarts Postgres; `mode` is one of pg_ctl's: fast or immediate. */
  async restartPostgres(mode) {
    const admin = await this.#connectAdmin();
    const { rows } = await admin.query("SELECT setting FROM pg_settings WHERE name = 'data_directory'");
    await admin.end();
    const data = rows[0].setting;
    const [options] = (await readFile(join(data, "postmaster.opts"), "utf8")).split(" ");
    const pgCtl = join(dirname(options), "pg_ctl");
    await runAsOwnerOf(data, pgCtl, ["restart", "-D", data, "-m", mode, "-w", "-l", join(data, "restart.log")], {
      cwd: data,
      timeout: 60_000,
    });
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
