// Live queries on whole tables, registered by hand.
import { until } from "../lib/wait.mjs";

export class Watcher {
  #after = 0;
  #generation = 0;
  #subs = new Map();
  #told = new Set();
  /** How many transactions are prepared: they stay unresolved. */
  prepared = 0;

  constructor(client, owner) {
    this.client = client;
    this.owner = owner;
  }

  /** Attaches on a connection of its own; the worker may have to be started first. */
  static async attach(client, owner = 1) {
    const watcher = new Watcher(client, owner);
    await client.query("SELECT live.prepare_connection()");
    await until("the worker is up", async () => {
      const { rows } = await client.query("SELECT live.attach($1) AS boot", [owner]);
      watcher.boot = rows[0].boot;
      return rows[0].boot > 0;
    }, { timeout: 30_000 });
    return watcher;
  }

  /** Watches tables at a new snapshot; what was told before is forgotten. */
  async watch(...tables) {
    await this.settle();
    await this.#fetch();
    this.#generation += 1;
    this.#told.clear();
    await this.client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    try {
      await this.#register(tables);
    } finally {
      await this.client.query("COMMIT");
    }
  }

  /** Watches a table at the snapshot of the transaction that is open on the connection. */
  async watchHere(table) {
    this.#generation += 1;
    this.#told.clear();
    await this.#register([table]);
  }

  async #register(tables) {
    for (const table of tables) {
      const sub = this.#subs.get(table) ?? this.#subs.size + 1;
      this.#subs.set(table, sub);
      const { rows } = await this.client.query("SELECT registered, not_live FROM live.watch($1, $2, $3, ARRAY[$4::regclass])", [
        this.owner, sub, this.#generation, table,
      ]);
      if (!rows[0].registered) {
        throw new Error(`${table} is not watched: ${rows[0].not_live}`);
      }
    }
  }

  /** Resolves when a write to the table was told. */
  async told(table) {
    await until(`a write to ${table} is told`, async () => {
      await this.#fetch();
      return this.#told.has(table);
    }, { timeout: 30_000 });
  }

  /** Whether a write to the table was told by now; all writers must have ended. */
  async isTold(table) {
    await this.settle();
    await this.#fetch();
    return this.#told.has(table);
  }

  /** Resolves when the worker has worked off all that was published, but for writers that are prepared. */
  async settle() {
    await until("the log is worked off", async () => {
      const { rows } = await this.client.query("SELECT live.status() AS status");
      const { log, unresolved } = rows[0].status;
      return log.lag_bytes === 0 && unresolved === this.prepared;
    }, { timeout: 30_000 });
  }

  async #fetch() {
    const { rows } = await this.client.query("SELECT * FROM live.next($1, $2, $3)", [this.owner, this.boot, this.#after]);
    for (const { n, sub, generation } of rows) {
      this.#after = Math.max(this.#after, Number(n));
      const [table] = [...this.#subs].find(([, of]) => of === Number(sub)) ?? [];
      if (table !== undefined && Number(generation) === this.#generation) {
        this.#told.add(table);
      }
    }
  }
}
