// Relays as processes of their own, as many as a test wants.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "./processes.mjs";
import { PG_LIVE } from "./server.mjs";
import { until } from "./wait.mjs";

/** A `pg-live serve` of a server's database, or of `databaseUrl`; its log is beside the server's. */
export async function startRelay(server, { databaseUrl = server.env.PG_LIVE_RELAY_URL, name = "relay", port, args = [], env = {} } = {}) {
  port ??= await freePort();
  const log = await open(join(server.root, `${name}.log`), "a");
  const child = spawn(PG_LIVE, ["serve", "--listen", `127.0.0.1:${port}`, ...args], {
    stdio: ["ignore", log.fd, log.fd],
    env: { ...process.env, DATABASE_URL: databaseUrl, ...env },
  });
  await log.close();
  const url = `http://127.0.0.1:${port}`;
  await until(`relay ${name} answers`, async () => (await fetch(`${url}/version`)).ok, { timeout: 60_000 });
  return {
    url,
    port,
    log: join(server.root, `${name}.log`),
    process: child,
    /** Ends as a service is stopped; the exit code. */
    async stop() {
      child.kill("SIGTERM");
      return (await once(child, "exit"))[0];
    },
  };
}
