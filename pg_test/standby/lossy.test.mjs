// A promotion that loses commits, and the number of a boot with them: the new primary gives it once more. Moments
// of the one must not be compared with those of the other.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LiveClient } from "../lib/clients.mjs";
import { until } from "../lib/wait.mjs";
import { Pair } from "./pair.mjs";
import { openAccounts } from "./watch.mjs";

const PATIENCE = { timeout: 60_000 };

/** @type {Pair} */ let pair;

before(async () => {
  pair = await Pair.start();
  await openAccounts(pair.primary.sql("owner"));
  await pair.settled();
});

after(() => pair?.stop());

const tick = (node) => node.sql("owner").query("UPDATE accounts SET balance = balance + 1 WHERE name = 'clock'");

/** The boot that runs on a node, and its completion count. */
async function clockOf(node) {
  const { rows } = await node.ask("SELECT boot::int, c::int FROM live.clock()");
  return rows[0];
}

/** Has the primary begin a boot with the number that the standby will give next. */
async function bootWith(number) {
  const admin = pair.primary.sql();
  const { rows } = await admin.query("SELECT last_value::int FROM live.boot_seq");
  await admin.query("SELECT nextval('live.boot_seq') FROM generate_series($1::int, $2)", [rows[0].last_value + 1, number - 1]);
  await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_live worker'");
  await until(`boot ${number} runs`, async () => (await clockOf(pair.primary)).boot === number, PATIENCE);
}

test("clients of a boot whose number is given again go on, from what the new primary has", async () => {
  const { primary, standby } = pair;
  const client = new LiveClient(pair.url);
  try {
    const clock = client.subscribe("accounts:balance", { name: "clock" });
    await clock.ready();
    const { rows } = await standby.ask("SELECT last_value::int AS last FROM live.boot_seq");
    const number = rows[0].last + 1;
    await standby.stop();
    await pair.usesStandby(false);
    await bootWith(number);
    for (let n = 0; n < 200; n += 1) {
      await tick(primary);
    }
    await clock.becomes("shows what will be lost", (value) => value === 200, PATIENCE);
    await client.mutation("accounts:transfer", { from: "a", to: "b", amount: 1 });
    const before = await clockOf(primary);
    assert.equal(before.boot, number);
    await primary.kill();
    await standby.start();
    await standby.promote();
    await until("the relay is attached to the new primary", async () => (await clockOf(standby)).boot > 0, PATIENCE);
    const after = await clockOf(standby);
    assert.equal(after.boot, number, "the number was given again");
    assert.ok(after.c < before.c, `its count, ${after.c}, is behind the other's, ${before.c}`);
    await clock.becomes("shows what is there", (value) => value === 0, PATIENCE);
    await tick(standby);
    await clock.becomes("follows a writer in SQL", (value) => value === 1, PATIENCE);
    const account = client.subscribe("accounts:balance", { name: "b" });
    const balance = await account.ready();
    await client.mutation("accounts:transfer", { from: "a", to: "b", amount: 3 });
    await account.becomes("follows a mutation", (value) => value === balance + 3, PATIENCE);
    assert.deepEqual([...clock.errors, ...account.errors], []);
  } finally {
    await client.close();
  }
});
