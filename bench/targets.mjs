// What the project wants to reach, as data: the part that measures it, where its report has the figure, and the wish in words.
// `at` is a path in `figures`. A target without `part` is not for this bench:
// `told` says who tells.

const atMost = (target) => ({ target, better: "lower" });
const atLeast = (target) => ({ target, better: "higher" });

const HOST = [
  { part: "language-js", at: "scans/js_empty/timesPlpgsql", ...atMost(5), text: "an empty function in LANGUAGE js, times an empty one in PL/pgSQL" },
  { part: "language-js", at: "fasterThanMiniRacer", ...atLeast(10), text: "an empty function in LANGUAGE js, as many times as fast as PL/Python with mini-racer" },
  { part: "language-js", at: "scans/js_read/timesPlpgsql", ...atMost(3), text: "one read by primary key in LANGUAGE js, times PL/pgSQL" },
  { part: "contexts", at: "times/ahead", ...atMost(0.4), text: "a query function, its context made between calls, times one made in the call" },
  { part: "images", at: "times/copied/inOneStatement", ...atMost(0.6), text: "a query function in a context from the image, times evaluating the module; the backend's time" },
  { part: "images", at: "times/copied/inStatements", ...atMost(0.6), text: "a query function in a context from the image, times evaluating the module; seen by the client" },
  { part: "images", at: "times/reused/inOneStatement", ...atMost(0.05), text: "a query function in one context for many calls; the backend's time" },
  { part: "contexts", at: "times/reused", ...atMost(0.05), text: "a query function in one context for many calls; seen by the client" },
  { part: "images", at: "firsts/small/ms", ...atMost(12), unit: "ms", text: "first call of a fresh backend, p50" },
  { part: "images", at: "firsts/large/ms", ...atMost(25), unit: "ms", text: "first call of a fresh backend, bundle of 750 KiB, p50" },
  { part: "images", at: "firsts/small/mib", ...atMost(8), unit: "MiB", text: "private memory that V8 adds to a backend" },
  { part: "images", at: "firsts/large/mib", ...atMost(16), unit: "MiB", text: "private memory that V8 adds to a backend, bundle of 750 KiB" },
  { part: "contexts", at: "cancel/p99", ...atMost(50), unit: "ms", text: "cancel of an endless loop, p99 of 1,000" },
];

const WRITES = ["insert, without index", "insert, with two indexes", "update, with two indexes", "insert, documents"];
const WATCHED = [
  "insert, with two indexes, 10,000 live queries on other tables",
  "update, with two indexes, 10,000 live queries on other tables",
  "insert, documents, 10,000 live queries on other tables",
  "insert, documents, 10,000 live queries on other topics of the table",
];
const capture = (what, side, goal) => ({ part: "capture", at: `${what}/${side}`, ...goal, text: `${what}: captured (${side}), times without capture` });

const CAPTURE = [
  ...WRITES.flatMap((what) => [capture(what, "trigger", atLeast(0.8)), capture(what, "wal", atLeast(0.92))]),
  ...WATCHED.flatMap((what) => ["trigger", "wal"].map((side) => capture(what, side, atLeast(0.75)))),
  ...["trigger", "wal"].map((side) => capture("UPDATE of 100,000 rows", side, atMost(1.25))),
  ...["trigger", "wal"].flatMap((mode) => [
    { part: "notify", at: `${mode}/writers/timesOwn`, ...atLeast(5), text: `16 writers and 100 listeners, capture by ${mode}: the rate, times writers that NOTIFY` },
    { part: "notify", at: `${mode}/latency/timesOwn`, ...atMost(mode === "wal" ? 3 : 1.5), text: `COMMIT sent to notification, capture by ${mode}, times a writer's own NOTIFY` },
    { part: "notify", at: `${mode}/latency/afterLaterBy`, ...atMost(0.3), unit: "ms", text: `COMMIT's return to notification, capture by ${mode}: later than a writer's own NOTIFY by` },
  ]),
  { told: "make soak", text: "100,000 subscriptions opened while writers commit, none missed; 1,000,000 transitions, none torn; 1,000 rounds of damage, nothing lost" },
];

const REACTIVE = [
  { part: "match", at: "equality/timesLookup", ...atMost(5), text: "routing one row change, times a bare hash lookup in a map of that size, the worst size" },
  { part: "match", at: "equality/microseconds", ...atMost(5), unit: "µs", text: "routing one row change against 10,000 entries" },
  { part: "match", at: "ranges/timesLookup", ...atMost(10), text: "the same with ranges or IN: twice of that, the worst size" },
  { part: "match", at: "ranges/microseconds", ...atMost(10), unit: "µs", text: "ranges or IN, against 10,000 entries: twice of that" },
  { part: "match", at: "bytesPerEntry", ...atMost(200), unit: "bytes", text: "memory per registered entry" },
  { part: "subscriptions", at: "timesFew", ...atMost(1.2), text: "commit to notification with 10,000 live queries, times that with 100" },
  ...["key", "equality"].map((of) => ({
    part: "precision", at: `classes/${of}/share`, ...atMost(0.05), text: `runs that found no change, reads by ${of}: share of all runs after an invalidation`,
  })),
  { told: "scripts/soak-oracle.sh", text: "1,000,000 commits beside 1,000 live queries in SQL: what was not invalidated equals a fresh run" },
  { part: "walk", at: "shares/walk", ...atMost(0.1), text: "finding out what a plan of SQL reads: share of planning, ten queries" },
  { part: "walk", at: "shares/again", ...atMost(0.02), text: "the same for a plan that is used again: next to nothing" },
];

const RELAY = [
  { part: "relay-hits", at: "one/floor/liveTimes", ...atMost(1.5), text: "1 of 1,000 live queries is hit: write to client, p50, times the floor" },
  { part: "relay-hits", at: "one/keys/liveTimes", ...atMost(1), text: "1 of 1,000 is hit: times a Node server that runs the written keys' queries again" },
  { part: "relay-hits", at: "one/table/liveTimes", ...atMost(0.1), text: "1 of 1,000 is hit: times a Node server that runs the table's queries again" },
  { part: "relay-hits", at: "all/live/ms/p99", ...atMost(500), unit: "ms", text: "one commit hits 1,000 live queries: p99" },
  { part: "relay-hits", at: "all/p99Times", ...atMost(0.25), text: "one commit hits 1,000 live queries: p99, times the Node server's" },
  { part: "relay-fanout", at: "5000/timesBare", ...atLeast(0.8), text: "one query of 5,000 clients: deliveries per second, times a bare tokio-tungstenite loop" },
  { part: "relay-fanout", at: "5000/executionsPerWrite", ...atMost(1), text: "one query of 5,000 clients: executions per write" },
  { part: "relay-connections", at: "10000/kibPerClient", ...atMost(20), unit: "KiB", text: "10,000 clients: the relay's memory per connection" },
  { part: "relay-connections", at: "10000/idleCorePercent", ...atMost(2), unit: "% of a core", text: "10,000 clients: the relay when nothing happens" },
  { part: "relay-connections", at: "10000/statementsPerSecond", ...atMost(1), unit: "per second", text: "10,000 clients: SQL statements when nothing happens" },
  { part: "relay-connections", at: "10000/backSeconds", ...atMost(30), unit: "s", text: "10,000 clients that all come back at once: right after" },
  { part: "relay-mutations", at: "low contention/roundtrips/liveTimes", ...atLeast(1.2), text: "transfers per second, low contention, times Node + pg by round trips" },
  { part: "relay-mutations", at: "Zipf 1.5/roundtrips/liveTimes", ...atLeast(3), text: "transfers per second, Zipf 1.5, times Node + pg by round trips" },
  { part: "relay-mutations", at: "low contention/plpgsql/liveTimes", ...atLeast(0.35), text: "transfers per second, low contention, times PL/pgSQL in one round trip" },
  { part: "relay-mutations", at: "Zipf 1.5/plpgsql/liveTimes", ...atLeast(0.35), text: "transfers per second, Zipf 1.5, times PL/pgSQL in one round trip" },
  { told: "make test, suite protocol", text: "rolling restart of two relays behind haproxy and 100 deployments under load: no failed call, no lost subscription" },
];

const CLI = [{ told: "make test, suite convex-cli", text: "pushing an app of 5 MiB with 500 functions: at most 3 s of the server's time" }];

const operation = (at, goal, text) => ({ part: "documents", at: `operations/${at}/times`, ...atMost(goal), text });

const DOCUMENTS = [
  operation("get", 2, "`get`, less npm's layer, times SELECT in PL/pgSQL"),
  operation("take", 1.5, "`take(100)`, less npm's layer, times SELECT in PL/pgSQL"),
  operation("page", 3, "`paginate(100)`, less an empty call, times SELECT in PL/pgSQL"),
  operation("insert", 1.5, "`insert`, less npm's layer, times INSERT in PL/pgSQL"),
  { part: "documents", at: "growth/times", ...atMost(1.2), text: "`take(50)` from 10,000,000 rows, times from 10,000" },
  { part: "documents", at: "walked/times", ...atMost(1.2), text: "a page in the last tenth of 1,000,000 rows, times one in the first" },
  { part: "documents", at: "index/times", ...atMost(1.5), text: "an index's share of an INSERT: index_key_v1, times native columns" },
];

/** All of them, by area. */
export const TARGETS = Object.entries({
  "JavaScript in the backend": HOST,
  capture: CAPTURE,
  "reactive SQL": REACTIVE,
  relay: RELAY,
  "command line": CLI,
  documents: DOCUMENTS,
}).flatMap(([area, targets]) => targets.map((target) => ({ area, ...target })));
