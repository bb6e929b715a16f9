// A cluster, a relay and the proxies between them, each of which can be broken by itself.
import { execFile, spawn } from "node:child_process";
import { appendFile, chmod, chown, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { freePort, killAndWait, outcomeOf } from "../../lib/processes.mjs";
import { copyApp, PG_LIVE } from "../../lib/server.mjs";
import { sleep, until } from "../../lib/wait.mjs";
import { Proxy } from "./proxy.mjs";

const execute = promisify(execFile);

/** The log of the extension is as small as it can be, so that it overflows; commits are not held up by standbys. */
const SETTINGS = {
  listen_addresses: "127.0.0.1",
  shared_preload_libraries: "pg_live",
  "pg_live.ring_size_kb": 64,
  synchronous_commit: "local",
  fsync: "off",
  max_prepared_transactions: 10,
  max_connections: 60,
  shared_buffers: "32MB",
  min_wal_size: "32MB",
  max_wal_size: "64MB",
  wal_level: "logical",
  log_line_prefix: "%m [%p] %b ",
  restart_after_crash: "on",
  ...(process.env.MODE === "wal" ? { "pg_live.capture": "wal" } : {}),
};

export class Cluster {
  /** `disk`: a folder; a file system of its own if `ownDisk`. `account`: who runs Postgres, if it is not us. */
  constructor({ work, bin, account, disk, ownDisk }) {
    Object.assign(this, { work, bin, account, disk, ownDisk });
    this.data = join(disk, "data");
    this.log = join(work, "postgres.log");
    this.relayLog = join(work, "relay.log");
  }

  static async start(options) {
    const cluster = new Cluster(options);
    cluster.port = await freePort();
    const { uid, gid } = cluster.account ?? {};
    await mkdir(cluster.data, { mode: 0o700 });
    await cluster.#own(cluster.data);
    await execute(join(cluster.bin, "initdb"), ["-D", cluster.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"], {
      uid, gid, cwd: "/",
    });
    const settings = Object.entries({ ...SETTINGS, port: cluster.port, unix_socket_directories: "" });
    await appendFile(join(cluster.data, "postgresql.conf"), settings.map(([name, value]) => `${name} = '${value}'\n`).join(""));
    await cluster.startPostgres();
    await cluster.#setUp();
    cluster.proxies = { postgres: await Proxy.start(cluster.port) };
    cluster.relayPort = await freePort();
    cluster.proxies.clients = await Proxy.start(cluster.relayPort);
    await cluster.startRelay();
    /** Where clients connect. */
    cluster.url = `http://127.0.0.1:${cluster.proxies.clients.port}`;
    /** The relay itself. */
    cluster.relayUrl = `http://127.0.0.1:${cluster.relayPort}`;
    return cluster;
  }

  async #own(path) {
    if (this.account !== undefined) {
      await chown(path, this.account.uid, this.account.gid);
    }
  }

  async #setUp() {
    await this.asAdmin(async (admin) => {
      await admin.query("CREATE ROLE app LOGIN");
      await admin.query("CREATE DATABASE app OWNER app ENCODING 'UTF8' TEMPLATE template0");
    }, "postgres");
    await this.asAdmin(async (admin) => {
      await admin.query("BEGIN; CREATE EXTENSION pg_live; SELECT live.setup('app'); COMMIT");
      await admin.query("CREATE ROLE relay LOGIN; GRANT live_relay TO relay");
    });
    const app = join(this.work, "app");
    await copyApp(join(import.meta.dirname, "../app"), app);
    const { code, stdout, stderr } = await outcomeOf(PG_LIVE, ["deploy", app, "--url", this.urlOf("app")]);
    if (code !== 0) {
      throw new Error(`deploy ended with ${code}\n${stdout}\n${stderr}`);
    }
  }

  /** The database's address for a role, past the proxy. */
  urlOf(role, database = "app", port = this.port) {
    return `postgres://${role}@127.0.0.1:${port}/${database}`;
  }

  /** A connection of its own; it may break at any time. */
  async connect(role = "app", database = "app") {
    const client = new pg.Client({ connectionString: this.urlOf(role, database), connectionTimeoutMillis: 5_000 });
    client.on("error", () => {});
    await client.connect();
    return client;
  }

  async asAdmin(work, database) {
    const admin = await this.connect("postgres", database);
    try {
      return await work(admin);
    } finally {
      await admin.end().catch(() => {});
    }
  }

  /** Starts Postgres; repeated while remains of the last one are in the way. */
  async startPostgres() {
    const { uid, gid } = this.account ?? {};
    const log = await open(this.log, "a");
    await until("Postgres starts", async () => {
      const child = spawn(join(this.bin, "postgres"), ["-D", this.data], { uid, gid, cwd: "/", stdio: ["ignore", log.fd, log.fd] });
      const ended = new Promise((resolve) => child.once("exit", resolve));
      this.postmaster = { pid: child.pid, ended };
      const up = this.whenUp().then(() => true);
      return await Promise.race([up, ended.then(() => { throw new Error("Postgres ended while it was starting"); })]);
    }, { timeout: 60_000, every: 200 });
    await log.close();
  }

  /** Resolves once the database takes statements. */
  async whenUp() {
    await until("Postgres answers", () => this.asAdmin((admin) => admin.query("SELECT").then(() => true), "postgres"), {
      timeout: 60_000,
      every: 50,
    });
  }

  /** Ends Postgres by a signal to the postmaster, and starts it again. */
  async restartPostgres(signal) {
    process.kill(this.postmaster.pid, signal);
    await this.postmaster.ended;
    await this.startPostgres();
  }

  async startRelay() {
    const log = await open(this.relayLog, "a");
    const url = this.urlOf("relay", "app", this.proxies.postgres.port);
    const child = spawn(PG_LIVE, ["serve", "--url", url, "--listen", `127.0.0.1:${this.relayPort}`], {
      stdio: ["ignore", log.fd, log.fd],
    });
    await log.close();
    this.relay = { pid: child.pid, ended: new Promise((resolve) => child.once("exit", resolve)) };
    await until("the relay answers", async () => (await fetch(`http://127.0.0.1:${this.relayPort}/version`)).ok);
  }

  async restartRelay(signal) {
    process.kill(this.relay.pid, signal);
    await this.relay.ended;
    await this.startRelay();
  }

  /** The process ids of backends of this type, or that a condition on pg_stat_activity names. */
  async pids(condition) {
    const { rows } = await this.asAdmin((admin) => admin.query(`SELECT pid FROM pg_stat_activity WHERE ${condition}`));
    return rows.map(({ pid }) => pid);
  }

  /** The one worker of the database, waited for. */
  async worker() {
    return await until("there is a worker", async () => (await this.pids("backend_type = 'pg_live worker'"))[0], { timeout: 30_000 });
  }

  /** Changes a setting of the server, which is told. */
  async setServer(name, value) {
    await this.asAdmin(async (admin) => {
      await admin.query(value === undefined ? `ALTER SYSTEM RESET ${name}` : `ALTER SYSTEM SET ${name} = '${value}'`);
      await admin.query("SELECT pg_reload_conf()");
    });
  }

  /** What the server has logged from `offset` on, and where it ends. */
  async logFrom(offset) {
    const text = await readFile(this.log, "utf8").catch(() => "");
    return { text: text.slice(offset), end: text.length };
  }

  /** Lines of the relay's log that no damage excuses. */
  async panicsOfRelay() {
    return (await readFile(this.relayLog, "utf8")).split("\n").filter((line) => line.includes("panicked at"));
  }

  /** Leaves no room on the disk until the returned function is called. */
  async fillDisk() {
    if (this.ownDisk) {
      const ballast = join(this.disk, "ballast");
      await execute("dd", ["if=/dev/zero", `of=${ballast}`, "bs=1M"]).catch(() => {}); // It ends when the disk is full.
      if (!((await stat(ballast)).size > 0)) {
        throw new Error("the disk was full before");
      }
      return () => rm(ballast, { force: true });
    }
    // No file of the server may grow beyond what it needs to be: as a full disk, in another error code.
    const limit = async (size) => {
      const pids = [this.postmaster.pid, ...(await this.#children())];
      await Promise.all(pids.map((pid) => execute("prlimit", [`--pid=${pid}`, `--fsize=${size}:`]).catch(() => {})));
    };
    await limit(8192);
    return () => limit("unlimited");
  }

  async #children() {
    const { stdout } = await execute("ps", ["-o", "pid=", "--ppid", String(this.postmaster.pid)]).catch(() => ({ stdout: "" }));
    return stdout.split("\n").map(Number).filter((pid) => pid > 0);
  }

  async stop() {
    Object.values(this.proxies ?? {}).forEach((proxy) => proxy.close());
    for (const process_ of [this.relay, this.postmaster]) {
      if (process_ !== undefined) {
        await killAndWait(process_.pid, process_ === this.postmaster ? "SIGQUIT" : "SIGKILL").catch(() => {});
      }
    }
    await sleep(0);
  }
}

/** Makes a folder that another account can reach. */
export async function makeWork(path) {
  await mkdir(path, { recursive: true });
  await chmod(path, 0o755);
}
