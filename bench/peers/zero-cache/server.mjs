// zero-cache as its users start it, with the endpoint of their app that says what a named query is.
//
// Started by the bench as a child process, by Node 22; tells its port and the processes that serve to its parent.
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mustGetQuery } from "@rocicorp/zero";
import { handleQueryRequest } from "@rocicorp/zero/server";
import { queries, schema } from "./queries.mjs";

const READY_MS = 60_000;
const CLI = fileURLToPath(new URL("node_modules/@rocicorp/zero/out/zero/src/cli.js", import.meta.url));

const listen = (server) =>
  new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));

const isFree = (port) =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });

/** A port that is free now; zero-cache uses the next two as well. Below those that the system gives to connections. */
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const free = await Promise.all([port, port + 1, port + 2].map(isFree));
    if (free.every(Boolean)) {
      return port;
    }
  }
}

/** The app's query endpoint. */
const endpoint = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  const answer = await handleQueryRequest({
    handler: (name, args) => mustGetQuery(queries, name).fn({ args, ctx: {} }),
    schema,
    userID: "bench",
    query: Object.fromEntries(new URL(request.url, "http://localhost").searchParams),
    body: JSON.parse(Buffer.concat(chunks).toString("utf8")),
  });
  response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
});

const folder = await mkdtemp(join(tmpdir(), "pg-live-zero-"));
const port = await freePort();
const database = process.env.DATABASE_URL;
const cache = spawn(process.execPath, [CLI], {
  cwd: folder,
  env: {
    ...process.env,
    NODE_ENV: "production",
    DO_NOT_TRACK: "1",
    ZERO_ENABLE_TELEMETRY: "false",
    ZERO_ADMIN_PASSWORD: "bench",
    ZERO_UPSTREAM_DB: database,
    ZERO_CVR_DB: database,
    ZERO_CHANGE_DB: database,
    ZERO_REPLICA_FILE: join(folder, "replica.db"),
    ZERO_APP_ID: "bench",
    ZERO_PORT: String(port),
    ZERO_NUM_SYNC_WORKERS: process.env.SYNC_WORKERS ?? "2",
    ZERO_UPSTREAM_MAX_CONNS: "6",
    ZERO_CVR_MAX_CONNS: "10",
    ZERO_CHANGE_MAX_CONNS: "3",
    ZERO_CHANGE_STREAMER_STARTUP_DELAY_MS: "0",
    ZERO_LOG_LEVEL: process.env.LOG_LEVEL ?? "error",
    ZERO_QUERY_URL: `http://127.0.0.1:${await listen(endpoint)}/query`,
  },
  stdio: ["ignore", "inherit", "inherit"],
  detached: true, // A group of its own, which is ended as one.
});

function end() {
  cache.removeAllListeners("exit");
  process.kill(-cache.pid, "SIGKILL");
  rm(folder, { recursive: true, force: true }).finally(() => process.exit());
}
cache.once("exit", (code) => {
  console.error(`zero-cache ended with ${code}`);
  process.exit(1);
});
process.on("disconnect", end);
process.on("SIGTERM", end);

/** zero-cache's own processes. */
async function family(root) {
  const parents = new Map();
  for (const name of (await readdir("/proc")).filter((each) => /^\d+$/.test(each))) {
    try {
      const stat = await readFile(`/proc/${name}/stat`, "utf8");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const own = [root];
  for (const pid of own) {
    own.push(...[...parents].filter(([, parent]) => parent === pid).map(([child]) => child));
  }
  return own;
}

const deadline = Date.now() + READY_MS;
for (;;) {
  try {
    const { ok } = await fetch(`http://127.0.0.1:${port}/keepalive`);
    if (ok) {
      break;
    }
  } catch (error) {
    if (Date.now() > deadline) {
      throw error;
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
}
process.send({ port, pids: await family(cache.pid) });
