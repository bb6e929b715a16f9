// Large pushes while clients call: none of their calls fails. PUSHES=200 is what `make soak` runs.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { ConvexHttpClient } from "convex/browser";
import { pidListeningOn } from "../lib/processes.mjs";
import { Server } from "../lib/server.mjs";
import { largeApp, push } from "./push.mjs";

const PUSHES = Number(process.env.PUSHES ?? 3);
/** Modules that are called: more than a session's heap has room for, so that it starts V8 anew. */
const CALLED = 100;
const MIB = 1024 * 1024;

/** @type {Server} */ let server;
let deployment;

before(async () => {
  server = await Server.start();
  const { CONVEX_SELF_HOSTED_URL: url, CONVEX_SELF_HOSTED_ADMIN_KEY: key } = server.env;
  deployment = { url, key };
});

after(async () => {
  await server?.stop();
});

/** Calls a query again and again; every answer must be one of a deployment that was in force. */
class Caller {
  calls = 0;
  failures = [];
  #running = true;
  #done;

  constructor() {
    const client = new ConvexHttpClient(server.url, { logger: false });
    this.#done = (async () => {
      for (let n = 0; this.#running; n++) {
        await client.query(`m${n % CALLED}:q${n % 5}`).catch((error) => this.failures.push(error));
        this.calls += 1;
      }
    })();
  }

  async stop() {
    this.#running = false;
    await this.#done;
  }
}

/** What a process has for itself, in bytes; nothing if it has ended. */
async function bytesOf(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}

/** The memory of the relay, in bytes. */
const relayBytes = async () => await bytesOf(await pidListeningOn(server.port));

/** That of the largest of its sessions, and how many there are. */
async function sessions() {
  const { rows } = await server.sql({ admin: true }).query(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg-live relay'",
  );
  const all = await Promise.all(rows.map(({ pid }) => bytesOf(pid)));
  return `${all.length} sessions of at most ${Math.max(0, ...all) >> 20} MiB`;
}

test("5 MiB with 500 functions, again and again: no call fails, nothing grows", async () => {
  const app = async (version) => await largeApp({ modules: 100, bytes: 5 * MIB, version });
  const first = await app("first");
  assert.ok(first.reduce((sum, { source }) => sum + source.length, 0) >= 5 * MIB);
  const apps = [first, await app("second")];
  await push(deployment, apps[0]);
  const callers = [new Caller(), new Caller()];
  let early;
  for (let n = 1; n <= PUSHES; n++) {
    const times = await push(deployment, apps[n % 2]);
    if (n <= 3 || n % 50 === 0) {
      const [start, wait, finish] = Object.values(times).map(Math.round);
      console.log(`push ${n}: start_push ${start} ms, wait_for_schema ${wait} ms, finish_push ${finish} ms`);
      console.log(`relay ${(await relayBytes()) >> 20} MiB, ${await sessions()}`);
    }
    if (n === Math.ceil(PUSHES / 4)) early = await relayBytes();
  }
  const late = await relayBytes();
  for (const caller of callers) {
    await caller.stop();
    assert.deepEqual(caller.failures, []);
    assert.ok(caller.calls > 0);
  }
  console.log(`${callers.map((caller) => caller.calls)} calls; relay ${early >> 20} MiB, then ${late >> 20} MiB`);
  if (PUSHES >= 100) assert.ok(late < early + 64 * MIB, `the relay grew from ${early} to ${late} bytes`);
  // One session can look at one after another.
  const session = await server.sql().connect();
  try {
    for (let n = 0; n < 3; n++) {
      const { rows } = await session.query("SELECT live.deploy_stage($1) AS staged", [
        JSON.stringify({ modules: apps[(PUSHES + 1) % 2] }),
      ]);
      assert.equal(rows[0].staged.unchanged, false);
    }
  } finally {
    session.release();
  }
  const kept = await server.sql().query("SELECT count(*)::int AS n FROM live.deployments WHERE finished_at IS NOT NULL");
  assert.ok(kept.rows[0].n <= 21, `${kept.rows[0].n} deployments are kept`);
});
