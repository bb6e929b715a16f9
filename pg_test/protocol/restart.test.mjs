// Two relays behind HAProxy, restarted one after the other under load, and deployments beside: no query and no mutation
// fails, every mutation is done once, every subscription goes on. PROTOCOL_ROUNDS, PROTOCOL_DEPLOYMENTS: how many.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ConvexHttpClient } from "convex/browser";
import { LiveClient } from "../lib/clients.mjs";
import { freePort } from "../lib/processes.mjs";
import { ForeignClient, isForgotten } from "../lib/foreign.mjs";
import { startRelay } from "../lib/relay.mjs";
import { copyApp, Server, TEST_APP } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

const ROUNDS = Number(process.env.PROTOCOL_ROUNDS ?? 1);
const DEPLOYMENTS = Number(process.env.PROTOCOL_DEPLOYMENTS ?? 3);
const CONFIG = join(dirname(fileURLToPath(import.meta.url)), "../../packaging/haproxy.cfg");
const SOCKETS = 12;
const HTTP = 6;

/** @type {Server} */ let server;
let proxy;
let proxyUrl;
let statsUrl;
const relays = {};

async function startOne(name, port) {
  relays[name] = await startRelay(server, { name, port, args: ["--drain-delay", "1.5", "--drain-spread", "1"] });
}

/** Whether the proxy sends clients to a relay. */
async function isUp(name) {
  const csv = await (await fetch(`${statsUrl};csv`)).text();
  const [head, ...lines] = csv.trim().split("\n").map((line) => line.replace(/^# /, "").split(","));
  const at = (column) => head.indexOf(column);
  return lines.some((line) => line[at("pxname")] === "relays" && line[at("svname")] === name && line[at("status")] === "UP");
}

before(async () => {
  server = await Server.start();
  const ports = { a: await freePort(), b: await freePort(), clients: await freePort(), stats: await freePort() };
  for (const name of ["a", "b"]) {
    await startOne(name, ports[name]);
  }
  const config = (await readFile(CONFIG, "utf8"))
    .replace(/maxconn \d+/, "maxconn 400") // HAProxy does not start where it may not open files for all of them.
    .replace(":3211", `:${ports.a}`)
    .replace(":3212", `:${ports.b}`)
    .replace(":3200", `:${ports.clients}`);
  const file = join(server.root, "haproxy.cfg");
  await writeFile(file, `${config}\nlisten stats\n    bind 127.0.0.1:${ports.stats}\n    stats enable\n    stats uri /stats\n`);
  proxy = spawn("haproxy", ["-db", "-f", file], { stdio: ["ignore", "ignore", "inherit"] });
  proxyUrl = `http://127.0.0.1:${ports.clients}`;
  statsUrl = `http://127.0.0.1:${ports.stats}/stats`;
  await until("both relays are in use", async () => (await isUp("a")) && (await isUp("b")), { timeout: 60_000 });
});

after(async () => {
  proxy?.kill("SIGKILL");
  for (const { process } of Object.values(relays)) process?.kill("SIGKILL");
  await server?.stop();
});

test(`${ROUNDS} rolling restarts and ${DEPLOYMENTS} deployments under load`, { timeout: 7_200_000 }, async () => {
  let busy = true;
  const failures = [];
  const done = { mutations: 0, queries: 0 };
  const clients = [];
  /** Calls again and again, a little slower than it could. */
  const keep = async (what, call, foreign = false) => {
    for (let n = 0; busy; n += 1) {
      try {
        await call(n);
      } catch (error) {
        if (foreign && isForgotten(error)) continue;
        failures.push(`${what} ${n}: ${error.message.slice(0, 300)}`);
      }
      await sleep(30 * Math.random());
    }
  };
  const load = [];
  for (let k = 0; k < SOCKETS; k += 1) {
    // Each of its own kind; those of other languages have their own ways of coming back.
    const client = k === 0 ? new ForeignClient("rust", proxyUrl) : k === 1 ? new ForeignClient("python", proxyUrl) : new LiveClient(proxyUrl);
    const channel = `socket ${k}`;
    const own = client.subscribe("messages:list", { channel });
    const all = client.subscribe("messages:list", { channel: "shared" });
    clients.push({ client, own, all, channel, foreign: k < 2, sent: 0 });
    const entry = clients.at(-1);
    load.push(keep(`mutation of ${channel}`, async (n) => {
      entry.sent += 1;
      await client.mutation("messages:send", { author: channel, body: `${n}`, channel });
      done.mutations += 1;
    }, k < 2));
    load.push(keep(`query of ${channel}`, async () => {
      await client.query("messages:count", { channel: "shared" });
      done.queries += 1;
    }, k < 2));
  }
  const http = Array.from({ length: HTTP }, (_, k) => ({ channel: `http ${k}`, sent: 0 }));
  for (const entry of http) {
    const client = new ConvexHttpClient(proxyUrl, { logger: false });
    load.push(keep(`mutation of ${entry.channel}`, async (n) => {
      await client.mutation("messages:send", { author: entry.channel, body: `${n}`, channel: entry.channel });
      entry.sent += 1;
      done.mutations += 1;
    }));
    load.push(keep(`query of ${entry.channel}`, async () => {
      await client.query("messages:list", { channel: "shared" });
      done.queries += 1;
    }));
  }
  const db = server.sql();
  load.push(keep("a write by SQL", async (n) => {
    await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', $1, 'shared')", [`${n}`]);
    await sleep(50);
  }));

  const restarts = async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const name of ["a", "b"]) {
        const { port } = relays[name];
        assert.equal(await relays[name].stop(), 0, `relay ${name} ends by itself`);
        await startOne(name, port);
        await until(`relay ${name} is in use again`, () => isUp(name), { timeout: 120_000 });
      }
    }
  };
  const deployments = async () => {
    const app = join(server.root, "changing");
    await copyApp(TEST_APP, app);
    const file = join(app, "convex/messages.ts");
    const source = await readFile(file, "utf8");
    for (let n = 1; n <= DEPLOYMENTS; n += 1) {
      await writeFile(file, `${source}\nexport const version = query({ args: {}, handler: async () => ${n} });\n`);
      const { code, stderr } = await server.deploy(app);
      assert.equal(code, 0, stderr);
    }
  };
  await Promise.all([restarts(), deployments()]);
  busy = false;
  await Promise.all(load);
  assert.deepEqual(failures, [], `of ${done.mutations} mutations and ${done.queries} queries`);
  assert.ok(done.mutations > 100 && done.queries > 100, JSON.stringify(done));

  const { rows } = await db.query("SELECT channel, count(*)::int AS n, count(DISTINCT body)::int AS bodies FROM messages GROUP BY channel");
  const stored = new Map(rows.map((row) => [row.channel, row]));
  for (const { channel, sent, foreign } of [...clients, ...http]) {
    const { n, bodies } = stored.get(channel) ?? { n: 0, bodies: 0 };
    assert.equal(bodies, sent, `${channel}: each mutation`);
    // Clients that have no name that outlives a connection send again what they cannot know to be done.
    assert.ok(n === sent || (n > sent && foreign), `${channel}: ${n - sent} of ${sent} mutations twice`);
  }
  const newest = `${stored.get("shared").n - 1}`;
  for (const { client, own, all, channel, sent } of clients) {
    await own.becomes("shows its last mutation", ([message]) => message?.body === `${sent - 1}`);
    await all.becomes("shows SQL's last write", ([message]) => message?.body === newest);
    assert.deepEqual([...own.errors, ...all.errors], [], channel);
    await client.close();
  }
  if (DEPLOYMENTS > 0) {
    assert.equal(await new ConvexHttpClient(proxyUrl, { logger: false }).query("messages:version"), DEPLOYMENTS);
  }
  console.log(`# ${done.mutations} mutations and ${done.queries} queries, none failed`);
});
