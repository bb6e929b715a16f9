// Live queries: each distinct one is run once for all its subscribers, again when what it reads was
// written, and sent when its result differs.

/**
 * The queries that clients may subscribe to. `touches` is the topic whose
 * writes can change the result. The result is made JSON by Postgres, once.
 */
const QUERIES = {
  newest: {
    text: `SELECT to_json(e)::text AS value FROM entries e WHERE topic = $1 ORDER BY id DESC LIMIT 1`,
    values: ({ topic }) => [topic],
    touches: ({ topic }) => topic,
  },
};

class LiveQuery {
  subscribers = new Set();
  /** The newest result as JSON text; undefined before the first run. */
  value = undefined;
  #running = false;
  #dirty = false;
  #pool;
  #statement;

  constructor(pool, name, args) {
    const { text, values, touches } = QUERIES[name];
    this.#pool = pool;
    this.#statement = { name, text, values: values(args) };
    this.topic = touches(args);
  }

  /** Runs it; a write that comes meanwhile makes it run once more. */
  async refresh() {
    this.#dirty = true;
    if (this.#running) {
      return;
    }
    this.#running = true;
    try {
      while (this.#dirty) {
        this.#dirty = false;
        const { rows } = await this.#pool.query(this.#statement);
        this.#take(rows[0]?.value ?? "null");
      }
    } finally {
      this.#running = false;
    }
  }

  #take(value) {
    if (value !== this.value) {
      this.value = value;
      for (const subscriber of this.subscribers) {
        subscriber.send(value);
      }
    }
  }
}

export class LiveQueries {
  #pool;
  #onError;
  #byKey = new Map();
  #byTopic = new Map();

  /** `onError(error)` is told of queries that failed. */
  constructor(pool, onError) {
    this.#pool = pool;
    this.#onError = onError;
  }

  /** `send(valueAsJson)` is called with each new result. Returns a function that ends the subscription. */
  subscribe(name, args, send) {
    if (!Object.hasOwn(QUERIES, name)) {
      throw new Error(`there is no query ${name}`);
    }
    const key = JSON.stringify([name, args]);
    const known = this.#byKey.get(key);
    const query = known ?? this.#add(key, name, args);
    const subscriber = { send };
    query.subscribers.add(subscriber);
    if (known === undefined) {
      this.#refresh([query]);
    } else if (query.value !== undefined) {
      send(query.value);
    }
    return () => {
      query.subscribers.delete(subscriber);
      if (query.subscribers.size === 0) {
        this.#byKey.delete(key);
        this.#byTopic.get(query.topic)?.delete(query);
      }
    };
  }

  /** These topics were written. */
  touch(topics) {
    for (const topic of topics) {
      this.#refresh(this.#byTopic.get(topic) ?? []);
    }
  }

  /** Anything may have been written. */
  touchAll() {
    this.#refresh(this.#byKey.values());
  }

  #add(key, name, args) {
    const query = new LiveQuery(this.#pool, name, args);
    this.#byKey.set(key, query);
    const ofTopic = this.#byTopic.get(query.topic) ?? new Set();
    this.#byTopic.set(query.topic, ofTopic.add(query));
    return query;
  }

  #refresh(queries) {
    for (const query of queries) {
      query.refresh().catch(this.#onError);
    }
  }
}
