// headline.md: the few figures that the README shows, out of the newest reports.
import { figure, table } from "./format.mjs";
import { figureAt } from "./verdicts.mjs";

const ms = (...paths) => ({ unit: " ms", paths });
const each = (...paths) => ({ unit: "", paths });

/** What is told: a part's figures of pg_live, and those beside them by whose they are. */
const ROWS = [
  { part: "language-js", label: "`LANGUAGE js`, a call among many of one statement: empty; one row by primary key", ours: { unit: " µs", paths: ["scans/js_empty/p50", "scans/js_read/p50"] },
    others: { "PL/pgSQL": { unit: " µs", paths: ["scans/pg_empty/p50", "scans/pg_read/p50"] }, "PL/Python with mini-racer, empty": { unit: " µs", paths: ["scans/py_empty/p50"] } } },
  { part: "images", label: "first call of a fresh backend, p50; with a bundle of 750 KiB", ours: ms("firsts/small/ms", "firsts/large/ms"), others: { "no call": ms("firsts/floor/ms") } },
  { part: "latency", label: "write to client, one live query, p50; p99", ours: ms("1 live query/sides/live/total/p50", "1 live query/sides/live/total/p99"),
    others: { "trigger, NOTIFY and a Node server that queries again": ms("1 live query/sides/requery/total/p50", "1 live query/sides/requery/total/p99"), "the floor": ms("1 live query/sides/floor/total/p50", "1 live query/sides/floor/total/p99") } },
  { part: "relay-hits", label: "write to client, 1 of 1,000 live queries is hit, p50; p99", ours: ms("one/live/ms/p50", "one/live/ms/p99"),
    others: { "that server": ms("one/keys/ms/p50", "one/keys/ms/p99"), "the same, if its trigger tells the table only": ms("one/table/ms/p50", "one/table/ms/p99") } },
  { part: "relay-hits", label: "one commit hits all 1,000, p50; p99", ours: ms("all/live/ms/p50", "all/live/ms/p99"), others: { "that server": ms("all/keys/ms/p50", "all/keys/ms/p99") } },
  { part: "relay-fanout", label: "deliveries per second, one live query of 5,000 clients", ours: each("5000/live"), others: { "a bare loop of tokio-tungstenite": each("5000/bare") } },
  { part: "relay-connections", label: "10,000 clients: KiB of the relay for each; seconds until all are back and right", ours: each("10000/kibPerClient", "10000/backSeconds"), others: {} },
  { part: "relay-mutations", label: "serializable transfers per second: low contention; Zipf 1.5", ours: each("low contention/live/perSecond", "Zipf 1.5/live/perSecond"),
    others: { "Node + pg by round trips": each("low contention/roundtrips/perSecond", "Zipf 1.5/roundtrips/perSecond"), "PL/pgSQL in one round trip": each("low contention/plpgsql/perSecond", "Zipf 1.5/plpgsql/perSecond") } },
  { part: "capture", label: "statements of one row, with two indexes: insert; update; captured by triggers, as a part of the rate without", ours: each("insert, with two indexes/trigger", "update, with two indexes/trigger"), others: {} },
  { part: "subscriptions", label: "COMMIT to notification, p50: 100; 10,000; 100,000 live queries", ours: ms("100/captured/p50", "10000/captured/p50", "100000/captured/p50"), others: { "a writer's own NOTIFY": ms("100/own/p50", "10000/own/p50", "100000/own/p50") } },
  { part: "peers", label: "100 live queries, write to client, p50; p99", ours: ms("zero/live/ms/p50", "zero/live/ms/p99"), others: { "zero-cache 1.9.0 with its client": ms("zero/rival/ms/p50", "zero/rival/ms/p99"), "polling each 100 ms": ms("poll100/rival/ms/p50", "poll100/rival/ms/p99") } },
  { part: "peers", label: "100 live queries, writes per second until every client is right", ours: each("zero/live/perSecond"), others: { "zero-cache 1.9.0 with its client": each("zero/rival/perSecond") } },
  { part: "restart", label: "kill of the relay, until a client shows what was written meanwhile, p50; last", ours: ms("relay/p50", "relay/max"), others: { "that Node server": ms("peer/p50", "peer/max") } },
];

function told(figures, { unit, paths }) {
  const values = paths.map((path) => figureAt(figures, path)?.median);
  return values.some((value) => value === undefined) ? undefined : values.map((value) => `${figure(value)}${unit}`).join("; ");
}

/** The table; rows of parts without a report are left out. */
export function headline(reports) {
  const byPart = new Map(reports.filter(({ failed }) => failed === undefined).map((report) => [report.part, report.figures]));
  const rows = ROWS.flatMap(({ part, label, ours, others }) => {
    const own = told(byPart.get(part), ours);
    if (own === undefined) {
      return [];
    }
    const beside = Object.entries(others).flatMap(([name, what]) => {
      const value = told(byPart.get(part), what);
      return value === undefined ? [] : [`${value}: ${name}`];
    });
    return [[label, own, beside.join("<br>")]];
  });
  return `${table(["", "pg_live", "beside it"], rows)}\n`;
}
