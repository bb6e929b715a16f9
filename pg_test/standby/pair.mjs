// A primary and a standby by Postgres' own tools, an app deployed to them, and a relay that knows both.
import { spawn } from "node:child_process";
import { appendFile, cp, mkdtemp, open, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { relayMetrics } from "../lib/metrics.mjs";
import { freePort, killAndWait, outcomeOf } from "../lib/processes.mjs";
import { copyApp, PG_LIVE, TEST_APP } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const { STANDBY_BIN: BIN, STANDBY_WORK: WORK, STANDBY_ACCOUNT: ACCOUNT = "" } = process.env;

/** Runs a program of Postgres, as the account that may. */
async function postgresTool(name, ...args) {
  const command = [...ACCOUNT.split(" ").filter(Boolean), join(BIN, name), ...args];
  const { code, stdout, stderr } = await outcomeOf(command[0], command.slice(1), { cwd: "/" });
  if (code !== 0) {
    throw new Error(`${name} ended with ${code}\n${stdout}\n${stderr}`);
  }
}

/** One server. */
class Node {
  #pools = [];

  constructor(name, port) {
    this.name = name;
    this.port = port;
    this.data = join(WORK, `${name}-${process.pid}`);
    this.log = `${this.data}.log`;
  }

  /** Processes of a server that was killed may take a moment to notice. */
  async start() {
    await until(`${this.name} has started`, async () => {
      await postgresTool("pg_ctl", "start", "-w", "-D", this.data, "-l", this.log);
      return true;
    }, { timeout: 60_000, every: 200 });
  }

  async stop(mode = "fast") {
    await postgresTool("pg_ctl", "stop", "-w", "-D", this.data, "-m", mode);
  }

  async promote() {
    await postgresTool("pg_ctl", "promote", "-w", "-D", this.data);
  }

  /** kill -9 of the postmaster; its processes end when they notice. */
  async kill() {
    await killAndWait(Number((await readFile(join(this.data, "postmaster.pid"), "utf8")).split("\n")[0]), "SIGKILL");
  }

  /** A pool of connections; as the superuser unless another user is named. */
  sql(user = "postgres", database = "app") {
    const known = this.#pools.find((entry) => entry.user === user && entry.database === database);
    if (known !== undefined) {
      return known.pool;
    }
    const pool = new pg.Pool({ host: "127.0.0.1", port: this.port, user, database, max: 8 });
    pool.on("error", () => {});
    pool.on("connect", (client) => client.on("error", () => {}));
    this.#pools.push({ user, database, pool });
    return pool;
  }

  /** Runs one statement; on a standby, replay may break any of them off (40001), and then it is repeated. */
  async ask(text, values = [], user = "postgres") {
    for (;;) {
      try {
        return await this.sql(user).query(text, values);
      } catch (error) {
        if (error.code !== "40001") {
          throw error;
        }
      }
    }
  }

  /** Changes settings without a restart. */
  async set(settings) {
    for (const [name, value] of Object.entries(settings)) {
      await this.ask(value === null ? `ALTER SYSTEM RESET ${name}` : `ALTER SYSTEM SET ${name} = '${value}'`);
    }
    await this.ask("SELECT pg_reload_conf()");
  }

  async close() {
    await Promise.all(this.#pools.map(({ pool }) => pool.end().catch(() => {})));
    await this.stop("immediate").catch(() => {});
  }
}

const SETTINGS = [
  "listen_addresses = '127.0.0.1'",
  `unix_socket_directories = '${WORK}'`,
  "shared_preload_libraries = 'pg_live'",
  "fsync = off",
  "max_prepared_transactions = 10",
  "wal_keep_size = '512MB'",
  "max_standby_streaming_delay = '300ms'",
];

export class Pair {
  #relays = [];

  /** Both servers, the app of the tests, and a relay. */
  static async start({ maxLagMs = 1000 } = {}) {
    const pair = new Pair();
    pair.maxLagMs = maxLagMs;
    pair.primary = new Node("primary", await freePort());
    pair.standby = new Node("standby", await freePort());
    try {
      await pair.#startPrimary();
      await pair.#startStandby();
      pair.app = join(await mkdtemp(join(tmpdir(), "pg-live-standby-")), "app");
      await copyApp(TEST_APP, pair.app);
      await cp(join(import.meta.dirname, "slow.ts"), join(pair.app, "convex/slow.ts"));
      await pair.deploy();
      await pair.startRelay();
    } catch (error) {
      await pair.stop();
      throw error;
    }
    return pair;
  }

  async #startPrimary() {
    const { primary } = this;
    await postgresTool("initdb", "-D", primary.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync");
    await appendFile(join(primary.data, "postgresql.conf"), [...SETTINGS, `port = ${primary.port}`, ""].join("\n"));
    await primary.start();
    const admin = primary.sql("postgres", "postgres");
    await admin.query("CREATE ROLE owner LOGIN");
    await admin.query("CREATE DATABASE app OWNER owner");
    await primary.sql().query("CREATE EXTENSION pg_live");
    await primary.sql().query("SELECT live.setup('owner')");
    await primary.sql().query("CREATE ROLE relay LOGIN IN ROLE live_relay");
  }

  async #startStandby() {
    const { primary, standby } = this;
    const source = `host=127.0.0.1 port=${primary.port} user=postgres application_name=standby`;
    await postgresTool("pg_basebackup", "-D", standby.data, "-R", "-X", "stream", "-c", "fast", "-d", source);
    await appendFile(join(standby.data, "postgresql.conf"), `port = ${standby.port}\n`);
    await standby.start();
  }

  /** Deploys the app as it is now. */
  async deploy() {
    const url = `postgresql://owner@127.0.0.1:${this.primary.port}/app`;
    const { code, stderr } = await outcomeOf(PG_LIVE, ["deploy", this.app, "--url", url]);
    if (code !== 0) {
      throw new Error(`the deploy ended with ${code}\n${stderr}`);
    }
  }

  /** Replaces text in a file of the app. */
  async edit(file, from, to) {
    const path = join(this.app, "convex", file);
    await writeFile(path, (await readFile(path, "utf8")).replace(from, to));
  }

  async startRelay() {
    const replica = `postgresql://relay@127.0.0.1:${this.standby.port}/app`;
    this.url = await this.#relay("--replica", replica, "--replica-max-lag", String(this.maxLagMs));
    await this.usesStandby(true);
  }

  /** Another relay, which knows of no replica; its address. */
  startPlainRelay() {
    return this.#relay();
  }

  async #relay(...more) {
    const hosts = [this.primary, this.standby].map(({ port }) => `127.0.0.1:${port}`);
    const port = await freePort();
    const args = ["serve", "--url", `postgresql://relay@${hosts.join(",")}/app`, "--listen", `127.0.0.1:${port}`, ...more];
    const log = await open(join(WORK, "relay.log"), "a");
    this.#relays.push(spawn(PG_LIVE, args, { stdio: ["ignore", log.fd, log.fd] }));
    await log.close();
    const url = `http://127.0.0.1:${port}`;
    await until("the relay is attached", async () => (await relayMetrics(url)).pg_live_attached === 1, { timeout: 30_000 });
    return url;
  }

  metrics() {
    return relayMetrics(this.url);
  }

  /** Resolves once the relay takes the standby for usable, or not. */
  async usesStandby(usable) {
    await until(`the standby is ${usable ? "used" : "not used"}`, async () =>
      (await this.metrics()).pg_live_replicas_usable === (usable ? 1 : 0), { timeout: 30_000 });
  }

  /** Resolves once the standby has replayed all that the primary has committed. */
  async settled() {
    const { rows } = await this.primary.sql().query("SELECT pg_current_wal_insert_lsn() AS lsn");
    const done = await this.standby.ask("SELECT live.wait($1, '30 s') AS done", [rows[0].lsn]);
    if (!done.rows[0].done) {
      throw new Error("the standby does not come up with the primary");
    }
  }

  async stop() {
    this.#relays.forEach((relay) => relay.kill("SIGKILL"));
    await this.primary.close();
    await this.standby.close();
    if (process.env.PG_LIVE_KEEP !== undefined) {
      process.stderr.write(await readFile(join(WORK, "relay.log"), "utf8").catch(() => ""));
    }
  }
}
