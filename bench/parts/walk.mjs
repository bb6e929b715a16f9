// What it costs to find out what a plan of SQL reads, as a share of planning, and when a kept plan is used again.
import pg from "pg";
import { figure } from "../lib/format.mjs";
import { median } from "../lib/stats.mjs";

const SIZES = { full: { rounds: 15, repetitions: 200 }, quick: { rounds: 5, repetitions: 50 } };

const SCHEMA = [
  "CREATE SCHEMA walk",
  "SET search_path = walk",
  "CREATE TABLE customers (id int PRIMARY KEY, name text, city text, active boolean)",
  "CREATE TABLE orders (id int PRIMARY KEY, customer int, placed timestamptz, state text, total numeric)",
  "CREATE TABLE lines (id int PRIMARY KEY, of_order int, product int, amount int)",
  "CREATE INDEX ON orders (customer, placed)",
  "CREATE INDEX ON lines (of_order)",
  "INSERT INTO customers SELECT g, 'name ' || g, 'city ' || g % 50, g % 3 > 0 FROM generate_series(1, 2000) AS g",
  "INSERT INTO orders SELECT g, g % 2000, now() - g * interval '1 minute', 'state ' || g % 5, g FROM generate_series(1, 10000) AS g",
  "INSERT INTO lines SELECT g, g % 10000, g % 100, 1 FROM generate_series(1, 30000) AS g",
  "ANALYZE customers, orders, lines",
];

const QUERIES = {
  "one row by its key": "SELECT id, name FROM customers WHERE id = 5",
  "a list of keys": "SELECT id, name FROM customers WHERE id IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)",
  "a range, the newest first": "SELECT id, total FROM orders WHERE customer = 7 AND placed > '2020-01-01' ORDER BY placed DESC LIMIT 20",
  "several conditions": "SELECT id FROM orders WHERE state = 'state 1' AND total BETWEEN 10 AND 500 AND customer IS NOT NULL",
  "a join by key": "SELECT o.id, c.name FROM orders AS o JOIN customers AS c ON c.id = o.customer WHERE o.id = 44",
  "a join of three tables":
    "SELECT c.name, o.id, l.product FROM customers AS c JOIN orders AS o ON o.customer = c.id JOIN lines AS l ON l.of_order = o.id WHERE c.id = 9",
  "groups": "SELECT c.city, count(*), sum(o.total) FROM customers AS c JOIN orders AS o ON o.customer = c.id WHERE c.active GROUP BY c.city",
  "EXISTS": "SELECT id FROM customers AS c WHERE city = 'city 3' AND EXISTS (SELECT FROM orders AS o WHERE o.customer = c.id AND o.state = 'state 2')",
  "a window": "SELECT id, rank() OVER (PARTITION BY customer ORDER BY total DESC) FROM orders WHERE customer < 20",
  "WITH and a subquery":
    "WITH big AS MATERIALIZED (SELECT customer, total FROM orders WHERE total > 9000) SELECT c.name, (SELECT max(total) FROM big WHERE big.customer = c.id) FROM customers AS c WHERE c.id < 10",
};

const microseconds = (value) => `${figure(value)} µs`;
const percent = (share) => `${figure(share * 100)} %`;

export async function measure({ server, say, quick }) {
  const { rounds, repetitions } = quick ? SIZES.quick : SIZES.full;
  say(`walk: ${Object.keys(QUERIES).length} queries`);
  const client = new pg.Client({ connectionString: server.env.PG_LIVE_ADMIN_URL });
  await client.connect();
  try {
    for (const statement of SCHEMA) {
      await client.query(statement);
    }
    const taken = {};
    for (const [name, query] of Object.entries(QUERIES)) {
      const times = [];
      for (let round = 0; round < rounds; round += 1) {
        const { rows: [row] } = await client.query("SELECT planning, walk, again FROM live.plan_walk($1, $2)", [query, repetitions]);
        times.push(row);
      }
      const of = (what) => median(times.map((row) => row[what]));
      taken[name] = { planning: of("planning"), walk: of("walk"), again: of("again") };
    }
    return report(taken, rounds * repetitions);
  } finally {
    await client.end();
  }
}

function report(taken, repetitions) {
  const all = Object.values(taken);
  const sum = (what) => all.reduce((total, each) => total + each[what], 0);
  const shares = { walk: sum("walk") / sum("planning"), again: sum("again") / sum("planning") };
  const worst = Math.max(...all.map(({ walk, planning }) => walk / planning));
  const rows = Object.entries(taken).map(([name, { planning, walk, again }]) => [
    name, microseconds(planning), microseconds(walk), percent(walk / planning), microseconds(again),
  ]);
  return {
    figures: { queries: taken, shares, worst },
    tables: [
      {
        title: "Finding out what a plan reads",
        columns: ["query", "planning", "walk over a new plan", "share", "again"],
        rows,
        note:
          `Each of ten queries planned ${repetitions.toLocaleString("en")} times in one backend, each plan walked over right after; medians of the rounds. ` +
          `Together: ${percent(shares.walk)} of planning; a plan that Postgres keeps is walked over once, and after that costs what "again" says.`,
      },
    ],
  };
}
