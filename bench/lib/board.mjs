// What all subscribers of one side show, by topic, and whether it is right.
import { within } from "../../pg_test/lib/wait.mjs";

/** An update that has not come by then is lost, in milliseconds. */
const PATIENCE = 10_000;

/** One side's view of the newest entry of each topic. An entry is `{ topic, n, body }`, or more. */
export class Board {
  latest = new Map();
  /** Values that came, but were not what a write had to bring. */
  needless = 0;
  #waiting;
  #goal;
  #failure;

  /** A subscriber was given a value, now or at that moment. */
  show(topic, value, at = performance.now()) {
    this.latest.set(topic, value);
    this.#approach(topic, value, at);
    const awaited = this.#waiting;
    if (awaited === undefined || topic !== awaited.entry.topic || value?.n !== awaited.entry.n) {
      this.needless += 1;
      return;
    }
    this.#waiting = undefined;
    if (value.topic === topic && value.body === awaited.entry.body) {
      awaited.resolve(at);
    } else {
      awaited.reject(new Error(`wrong answer: ${JSON.stringify(value)}, not ${JSON.stringify(awaited.entry)}`));
    }
  }

  /** A subscriber broke: whoever waits is told, now or later. */
  fail(error) {
    this.#failure ??= error;
    this.#waiting?.reject(error);
    this.#goal?.reject(error);
  }

  /** Resolves to the moment at which a subscriber was given this entry. */
  async expect(entry) {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    const arrival = new Promise((resolve, reject) => (this.#waiting = { entry, resolve, reject }));
    return await within(`the update of ${entry.topic} to ${entry.n}`, arrival, PATIENCE);
  }

  /** Resolves to the moment at which the last of these topics shows its number; `goal`: n by topic. Ask before the writes. */
  async settle(goal, patience) {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    const all = new Promise((resolve, reject) => (this.#goal = { left: new Map(goal), resolve, reject }));
    try {
      return await within(`${goal.size} topics to show what was written last`, all, patience);
    } finally {
      this.#goal = undefined;
    }
  }

  #approach(topic, value, at) {
    const goal = this.#goal;
    if (goal !== undefined && goal.left.get(topic) === value?.n) {
      goal.left.delete(topic);
      if (goal.left.size === 0) {
        goal.resolve(at);
      }
    }
  }

  /** Fails unless every topic shows what the database has; `truth`: n by topic. */
  check(truth) {
    const wrong = [...truth].filter(([topic, n]) => this.latest.get(topic)?.n !== n);
    if (wrong.length > 0 || this.latest.size !== truth.size) {
      const [topic, n] = wrong[0] ?? [];
      throw new Error(
        `${wrong.length} of ${truth.size} subscribers are wrong at the end; ` +
          `${topic} shows ${JSON.stringify(this.latest.get(topic))}, the database has ${n}`,
      );
    }
  }
}
