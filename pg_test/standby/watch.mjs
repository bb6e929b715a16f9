// Clients that notice whatever they must never see: half of a transfer, or an older state after a newer one.
import assert from "node:assert/strict";
import { TransitionWatcher } from "../lib/clients.mjs";
import { until } from "../lib/wait.mjs";

export const ACCOUNTS = ["a", "b", "c", "d"];
const START = 1000;
const TOTAL = ACCOUNTS.length * START;

/** Balances of four accounts whose sum never changes, and `clock`, an account that only grows. */
export async function openAccounts(db) {
  await db.query("INSERT INTO accounts(name, balance) SELECT name, $2 FROM unnest($1::text[]) AS name", [ACCOUNTS, START]);
  await db.query("INSERT INTO accounts(name, balance) VALUES ('clock', 0)");
}

/** Some money from one account to another, and a tick, in one transaction. */
export async function transfer(connection, next) {
  const [from, to] = ACCOUNTS.toSorted(() => next() - 0.5).slice(0, 2);
  const amount = Math.floor(next() * 50) + 1;
  await connection.query("BEGIN");
  await connection.query("UPDATE accounts SET balance = balance + 1 WHERE name = 'clock'");
  for (const [name, change] of [[from, -amount], [to, amount]].toSorted()) {
    await connection.query("UPDATE accounts SET balance = balance + $2 WHERE name = $1", [name, change]);
  }
  await connection.query("COMMIT");
}

/** One client with a query for each account. */
export class Accounts {
  constructor(url) {
    const queries = [...ACCOUNTS, "clock"].map((name) => ["accounts:balance", { name }]);
    this.watcher = new TransitionWatcher(url, queries);
  }

  get seen() {
    return this.watcher.seen.filter((balances) => balances.every((balance) => balance !== undefined));
  }

  get clock() {
    return this.seen.at(-1)?.at(-1);
  }

  async ready() {
    await until("all accounts are shown", () => this.seen.length > 0);
  }

  /** Resolves once the clock shows this, or more. */
  async reaches(clock, options) {
    await until(`the clock shows ${clock}, it shows ${this.clock}`, () => this.clock >= clock, options);
  }

  /** Neither torn nor backwards; how many transitions there were. */
  check() {
    const { seen } = this;
    for (const [n, balances] of seen.entries()) {
      const sum = balances.slice(0, -1).reduce((a, b) => a + b);
      assert.equal(sum, TOTAL, `transition ${n} of ${seen.length} is torn: ${balances}`);
      if (n > 0) {
        assert.ok(balances.at(-1) >= seen[n - 1].at(-1), `transition ${n} goes back: ${seen[n - 1]} -> ${balances}`);
      }
    }
    return seen.length;
  }

  async close() {
    await this.watcher.close();
  }
}
