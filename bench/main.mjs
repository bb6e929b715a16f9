// Runs the parts of the bench, all or the one named, and merges the reports.
import { loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { Server } from "../pg_test/lib/server.mjs";
import { databaseSettings, isMeasured, surroundings, writePart, writeSummary } from "./lib/report.mjs";

const APP = fileURLToPath(new URL("app", import.meta.url));

/** Parts with a server of their own get a fresh one; `ownRelay`: clients use a relay in a process of its own;
 * `fullOnly`: takes too long for the short form. */
const PARTS = {
  host: { server: true },
  contexts: { server: true },
  images: { server: true },
  documents: { server: true },
  "language-js": { server: true },
  latency: { server: true },
  notify: { server: true },
  peers: { server: true, ownRelay: true },
  match: { server: false, fullOnly: true },
  subscriptions: { server: true },
  precision: { server: true },
  walk: { server: true },
  restart: { server: true, ownRelay: true },
  tuning: { server: true, fullOnly: true },
  pglite: { server: true, ownRelay: true },
  "peers-fanout": { server: true, ownRelay: true },
  "relay-hits": { server: true, ownRelay: true },
  "relay-fanout": { server: true, ownRelay: true },
  "relay-connections": { server: true, ownRelay: true },
  "relay-mutations": { server: true, ownRelay: true },
  capture: { server: true },
  standby: { server: false },
  deploys: { server: false },
  build: { server: false, onlyIf: "BENCH_BUILD" },
};

/** One point per part instead of the whole: `make bench-quick`. */
const QUICK = process.env.BENCH_QUICK === "1";

/** Parts that this commit has measured are left out: a run that was ended goes on. */
const RESUME = process.env.BENCH_RESUME === "1";

const say = (text) => console.error(`==> ${text}`);

function chosen(name) {
  if (name !== undefined && !Object.hasOwn(PARTS, name)) {
    throw new Error(`there is no part ${name}: ${Object.keys(PARTS).join(", ")}`);
  }
  const names = name === undefined ? Object.keys(PARTS) : [name];
  return names.filter((part) => {
    const { onlyIf, fullOnly } = PARTS[part];
    if (onlyIf !== undefined && process.env[onlyIf] !== "1") {
      say(`${part}: left out; set ${onlyIf}=1 to run it`);
      return false;
    }
    return !(QUICK && fullOnly);
  });
}

/** Runs one part and writes its report. Resolves to whether it succeeded. */
async function run(part) {
  const report = { quick: QUICK, ...(await surroundings()) };
  const started = performance.now();
  let server;
  try {
    const { prepare, measure } = await import(`./parts/${part}.mjs`);
    // What is added to the files of the server is there before it starts: it takes a copy of them.
    await prepare?.();
    if (PARTS[part].server) {
      say(`${part}: starting a server`);
      server = await Server.start({ source: APP, ownRelay: PARTS[part].ownRelay ?? false });
      report.database = await databaseSettings(server);
    }
    Object.assign(report, await measure({ server, say, quick: QUICK }));
  } catch (error) {
    console.error(error);
    report.failed = error.message;
  } finally {
    await server?.stop();
  }
  report.machine.loadAfter = loadavg()[0];
  report.seconds = (performance.now() - started) / 1000;
  await writePart(part, report);
  return report.failed === undefined;
}

const outcomes = [];
for (const part of chosen(process.argv[2])) {
  if (RESUME && (await isMeasured(part))) {
    say(`${part}: measured before`);
  } else {
    outcomes.push(await run(part));
  }
}
console.log(await writeSummary());
process.exit(outcomes.every(Boolean) ? 0 : 1);
