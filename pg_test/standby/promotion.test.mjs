// The primary dies, the standby is promoted, and the relay and its clients go on with it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LiveClient } from "../lib/clients.mjs";
import { random, SEED } from "../lib/random.mjs";
import { sleep, until } from "../lib/wait.mjs";
import { Pair } from "./pair.mjs";
import { Accounts, openAccounts, transfer } from "./watch.mjs";

/** @type {Pair} */ let pair;

before(async () => {
  pair = await Pair.start();
  await openAccounts(pair.primary.sql("owner"));
});

after(() => pair?.stop());

/** Transfers on whichever server takes them, until `stop.now`; how many were confirmed. */
async function writeThrough(stop, servers) {
  const next = random(SEED);
  let confirmed = 0;
  while (!stop.now) {
    for (const server of servers) {
      const connection = await server.sql("owner").connect().catch(() => undefined);
      try {
        await transfer(connection, next);
        confirmed += 1;
        connection.release();
      } catch {
        connection?.release(true);
        await sleep(20);
      }
    }
  }
  return confirmed;
}

test("with synchronous replication nothing is lost, torn or taken back by a promotion", async (t) => {
  t.diagnostic(`PG_LIVE_SEED=${SEED}`);
  const { primary, standby } = pair;
  await primary.set({ synchronous_standby_names: "standby" });
  const clients = Array.from({ length: 3 }, () => new Accounts(pair.url));
  const mutator = new LiveClient(pair.url);
  const stop = { now: false };
  try {
    await Promise.all(clients.map((one) => one.ready()));
    const writing = writeThrough(stop, [primary, standby]);
    await until("some transfers are shown", () => clients.every((one) => one.clock > 20), { timeout: 30_000 });
    await primary.kill();
    await standby.promote();
    const shown = Math.max(...clients.map((one) => one.clock));
    await Promise.all(clients.map((one) => one.reaches(shown + 20, { timeout: 60_000 })));
    await mutator.mutation("accounts:transfer", { from: "a", to: "b", amount: 1 });
    stop.now = true;
    const confirmed = await writing;
    const { rows } = await standby.ask("SELECT balance FROM accounts WHERE name = 'clock'", [], "owner");
    assert.ok(rows[0].balance >= confirmed, `${confirmed} transfers were confirmed, ${rows[0].balance} are there`);
    for (const one of clients) {
      await one.reaches(rows[0].balance, { timeout: 30_000 });
      t.diagnostic(`${one.check()} transitions, ${confirmed} transfers`);
    }
    const workers = await standby.ask("SELECT 1 FROM pg_stat_activity WHERE backend_type = 'pg_live worker'");
    assert.equal(workers.rows.length, 1, "the worker runs on the new primary");
    await pair.usesStandby(false);
  } finally {
    stop.now = true;
    await Promise.all([...clients, mutator].map((one) => one.close()));
  }
});
