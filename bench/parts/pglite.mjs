// How the time from a write to the result grows with the number of live queries of a table, of which one is hit: pg_live and PGlite.
// PGlite has no network, no second process and no durable commit, so only the growth of each can be compared.
import { once } from "node:events";
import { sleep, within } from "../../pg_test/lib/wait.mjs";
import { figure } from "../lib/format.mjs";
import { installPeer } from "../lib/install.mjs";
import { forkPeer } from "../lib/peer.mjs";
import { entriesOf, fill } from "../lib/rivals.mjs";
import { layOut, openLive } from "../lib/sides.mjs";
import { median } from "../lib/stats.mjs";

const SIZES = { full: { counts: [1, 10, 100, 300, 1_000], rounds: 30 }, quick: { counts: [10, 100], rounds: 8 } };
const PATIENCE_MS = 400_000;

async function curveOfPglite(size) {
  await installPeer("pglite");
  const child = forkPeer("pglite", "run.mjs");
  try {
    await once(child, "message");
    child.send(size);
    const ended = once(child, "exit").then(([code]) => Promise.reject(new Error(`PGlite ended with ${code}`)));
    ended.catch(() => {});
    const [points] = await within("PGlite", Promise.race([once(child, "message"), ended]), PATIENCE_MS);
    return points;
  } finally {
    child.kill("SIGKILL");
  }
}

async function pointOfLive(server, count, rounds) {
  const layout = layOut(count, 1);
  const side = await openLive({ url: server.url, databaseUrl: server.env.DATABASE_URL, layout });
  try {
    const entries = entriesOf(layout.flat());
    const samples = [];
    for (let n = 0; n < rounds + 5; n += 1) {
      const entry = entries.next().value;
      const shown = side.board.expect(entry);
      shown.catch(() => {}); // Told below, after the write.
      const started = performance.now();
      await side.write(entry);
      samples.push((await shown) - started);
      await sleep(2);
    }
    await side.check(layout.flat());
    return median(samples.slice(5)); // The first ones warm up.
  } finally {
    await side.close();
  }
}

export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  await fill(server.env.DATABASE_URL);
  const live = [];
  for (const count of size.counts) {
    say(`pglite: pg_live, ${count} live queries`);
    live.push([count, await pointOfLive(server, count, size.rounds)]);
  }
  say("pglite: PGlite");
  const pglite = await curveOfPglite(size);
  const growth = (points) => {
    const [, base] = points.find(([count]) => count === 10);
    return points.map(([count, ms]) => [count, ms / base]);
  };
  const [ours, theirs] = [growth(live), growth(pglite)];
  return {
    figures: { growth: { live: ours, pglite: theirs } },
    plots: [{
      title: "Write to result, times that with 10 live queries",
      x: { label: "live queries of the table, one is hit" },
      y: { label: "times", log: true },
      series: [{ name: "pg_live", points: ours }, { name: "PGlite 0.5.16", points: theirs }],
    }],
    tables: [{
      title: "Growth with the number of live queries of a table, one is hit",
      columns: ["live queries", "pg_live, times 10", "PGlite, times 10"],
      rows: ours.map(([count, times], n) => [count.toLocaleString("en"), figure(times), figure(theirs[n][1])]),
      note: `Medians of ${size.rounds} writes, one after the other, each side by itself. The times themselves cannot be compared: PGlite runs in the process of its client, in memory.`,
    }],
  };
}
