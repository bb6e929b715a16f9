// Clusters of the private server tree, for tests that need more than one or restart them.
import { execFile } from "node:child_process";
import { appendFile, chmod, chown, mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";

const { CAPTURE_BIN: BIN, CAPTURE_WORK: WORK, CAPTURE_ACCOUNT: ACCOUNT } = process.env;
const run = promisify(execFile);

/** How tables are captured: `trigger` or `wal`. */
export const MODE = process.env.MODE ?? "trigger";

const SETTINGS = {
  listen_addresses: "''",
  fsync: "off",
  max_prepared_transactions: 10,
  wal_level: "logical",
  log_min_messages: "warning",
  ...(MODE === "trigger" ? {} : { "pg_live.capture": MODE }),
};

export class Cluster {
  #clients = new Set();

  constructor(name) {
    this.name = name;
    this.socket = join(WORK, name);
    this.data = join(this.socket, "data");
    this.log = join(this.socket, "postgres.log");
  }

  /** A new cluster with these settings; pg_live is preloaded unless they say otherwise. */
  static async start(name, settings = {}) {
    const cluster = new Cluster(name);
    await mkdir(cluster.socket);
    const { uid, gid } = await stat(WORK);
    await chown(cluster.socket, uid, gid);
    await chmod(cluster.socket, 0o755);
    await cluster.program("initdb", ["-D", cluster.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    await cluster.set({ ...SETTINGS, unix_socket_directories: `'${cluster.socket}'`, shared_preload_libraries: "'pg_live'", ...settings });
    await cluster.#control("start");
    return cluster;
  }

  /** Settings for the next start. */
  async set(settings) {
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    await appendFile(join(this.data, "postgresql.conf"), lines.join(""));
  }

  /** A program of the server, run by the account that owns the cluster. */
  program(program, args) {
    const command = [join(BIN, program), ...args];
    const whole = ACCOUNT ? ["runuser", "-u", ACCOUNT, "--", ...command] : command;
    return run(whole[0], whole.slice(1), { cwd: "/", timeout: 60_000 });
  }

  #control(...args) {
    return this.program("pg_ctl", [...args, "-w", "-D", this.data, "-l", this.log]);
  }

  /** Restarts the server; `immediate` is a crash. */
  async restart(mode = "fast") {
    await this.#disconnect();
    await this.#control("restart", "-m", mode);
  }

  async stop() {
    await this.#disconnect();
    await this.#control("stop", "-m", "immediate").catch(() => {});
  }

  async #disconnect() {
    await Promise.all([...this.#clients].map((client) => client.end().catch(() => {})));
    this.#clients.clear();
  }

  /** An open connection. */
  async connect(database = "postgres") {
    const client = new pg.Client({ host: this.socket, user: "postgres", database });
    client.on("error", () => {});
    await client.connect();
    this.#clients.add(client);
    return client;
  }

  /** Fails if a process of the server has crashed. */
  async assertHealthy() {
    const crashes = (await readFile(this.log, "utf8")).match(/^.*(PANIC|TRAP|terminated by signal).*$/gm);
    if (crashes !== null) {
      throw new Error(crashes.join("\n"));
    }
  }
}
