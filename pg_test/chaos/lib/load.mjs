// What goes on while things break: clients with live queries and mutations, and writers in SQL. All of it is
// noted, so that it can be compared with the database afterwards.
import { sleep, within } from "../../lib/wait.mjs";
import { LiveClient, TransitionWatcher } from "../../lib/clients.mjs";

export const ACCOUNTS = ["a", "b", "c"];
export const TOTAL = 3000;
const CLIENTS = 4;
/** Clients that wait for the mark. They have no other query: a client that is hit may run all that it has again. */
const WAITING = 3;
const SQL_WRITERS = 3;

export async function fillTables(cluster) {
  await cluster.asAdmin(async (admin) => {
    await admin.query("INSERT INTO accounts (name, balance) SELECT name, 1000 FROM unnest($1::text[]) AS name", [ACCOUNTS]);
    await admin.query("INSERT INTO counters (name, value) VALUES ('by client', 0), ('by sql', 0), ('marker', 0)");
  });
}

/** A live query that a client watches, and what it was shown. */
class Watched {
  constructor(client, name, args) {
    Object.assign(this, { name, args });
    this.subscription = client.subscribe(name, args);
  }

  get shown() {
    return this.subscription.value;
  }
}

/** Clients that stay over all rounds. */
export class Audience {
  constructor(url) {
    this.clients = Array.from({ length: CLIENTS }, () => new LiveClient(url));
    const accounts = ACCOUNTS.map((name) => ["chaos:balance", { name }]);
    this.watchers = [new TransitionWatcher(url, accounts), new TransitionWatcher(url, accounts)];
    // A client that is hit may run all its queries again: so each has few, and some of them are seldom hit.
    this.counters = this.clients.slice(CLIENTS / 2).flatMap((client) =>
      ["by client", "by sql"].map((name) => new Watched(client, "chaos:count", { name })),
    );
    this.waiting = Array.from({ length: WAITING }, () => new LiveClient(url));
    this.markers = this.waiting.map((client) => new Watched(client, "chaos:count", { name: "marker" }));
    this.lists = [];
  }

  /** Every client follows these channels, and no others any more. */
  follow(channels) {
    this.lists.forEach(({ subscription }) => subscription.stop());
    this.lists = this.clients.slice(0, CLIENTS / 2).map(
      (client, index) => new Watched(client, "chaos:list", { channel: channels[index % channels.length] }),
    );
  }

  get watched() {
    return [...this.lists, ...this.counters, ...this.markers];
  }

  async close() {
    await Promise.all([...this.clients, ...this.waiting, ...this.watchers].map((client) => client.close()));
  }
}

/** The writers of one round. */
export class Load {
  /** Bodies that were promised to be in the database. */
  acknowledged = [];
  /** Growths of the counters that were promised. */
  bumps = { "by client": 0, "by sql": 0 };
  /** Writes that failed, or whose fate is not known. */
  unknown = 0;
  #over = false;
  #running = [];
  #number = 0;

  constructor(cluster, audience, round, channels, next) {
    Object.assign(this, { cluster, audience, round, channels, next });
  }

  start() {
    this.#running = [
      ...this.audience.clients.map((client) => this.#keepOn(() => this.#mutate(client))),
      ...Array.from({ length: SQL_WRITERS }, () => this.#writeBySql()),
    ];
  }

  /** Ends the writers; resolves when each knows what has become of its last write. */
  async stop() {
    this.#over = true;
    await within("the writers' last writes", Promise.all(this.#running), 100_000);
  }

  body(kind) {
    this.#number += 1;
    return `${this.round}:${kind}:${this.#number}`;
  }

  channel() {
    return this.channels[Math.floor(this.next() * this.channels.length)];
  }

  async #keepOn(step) {
    while (!this.#over) {
      await step();
      await sleep(this.next() * 15);
    }
  }

  async #mutate(client) {
    try {
      if (this.next() < 0.7) {
        const body = this.body("m");
        await client.mutation("chaos:send", { channel: this.channel(), body });
        this.acknowledged.push(body);
      } else {
        await client.mutation("chaos:bump", { name: "by client" });
        this.bumps["by client"] += 1;
      }
    } catch (error) {
      if (error.message.startsWith("gave up")) {
        throw error; // A mutation is answered at some time, whatever breaks.
      }
      this.unknown += 1;
    }
  }

  /** One writer, over as many connections as it takes. */
  async #writeBySql() {
    while (!this.#over) {
      let connection;
      try {
        connection = await this.cluster.connect();
        await this.#keepOn(() => within("a statement", this.#statement(connection), 30_000));
      } catch {
        this.unknown += 1;
        await sleep(50);
      } finally {
        connection?.end().catch(() => {});
      }
    }
  }

  async #statement(connection) {
    const kind = this.next();
    if (kind < 0.5) {
      const body = this.body("s");
      await connection.query("INSERT INTO messages (channel, body) VALUES ($1, $2)", [this.channel(), body]);
      this.acknowledged.push(body);
    } else if (kind < 0.7) {
      await connection.query("UPDATE counters SET value = value + 1 WHERE name = 'by sql'");
      this.bumps["by sql"] += 1;
    } else {
      await this.#transfer(connection);
    }
  }

  /** Between two accounts, in two statements, the rows locked in one order; some change their mind. */
  async #transfer(connection) {
    const from = Math.floor(this.next() * ACCOUNTS.length);
    const to = (from + 1) % ACCOUNTS.length;
    const changes = [[ACCOUNTS[from], -1], [ACCOUNTS[to], 1]].toSorted();
    const mind = this.next() < 0.1 ? "ROLLBACK" : "COMMIT";
    await connection.query("BEGIN");
    for (const [name, change] of changes) {
      await connection.query("UPDATE accounts SET balance = balance + $2 WHERE name = $1", [name, change]);
    }
    await connection.query(mind);
  }
}
