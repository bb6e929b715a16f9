// The bench's own logic: what it makes of samples, targets and plots.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Board } from "../lib/board.mjs";
import { compare } from "../lib/baseline.mjs";
import { axis, plotOf, short, targetsPlot } from "../lib/plot.mjs";
import { headline } from "../lib/headline.mjs";
import { reportPage } from "../lib/html.mjs";
import { inTurns, percentile, ratioOfRounds, spread } from "../lib/stats.mjs";
import { summary } from "../lib/summary.mjs";
import { figureAt, tally, verdicts } from "../lib/verdicts.mjs";
import { TARGETS } from "../targets.mjs";

test("percentiles are samples, by nearest rank", () => {
  const samples = [5, 1, 4, 2, 3];
  assert.equal(percentile(samples, 0.5), 3);
  assert.equal(percentile(samples, 0), 1);
  assert.equal(percentile(samples, 0.99), 5);
  assert.throws(() => percentile([], 0.5));
});

test("ratios are of the medians of each round", () => {
  assert.deepEqual(ratioOfRounds([[2, 2, 9], [8]], [[1], [2]]), { median: 2, min: 2, max: 4, rounds: 2 });
  assert.throws(() => ratioOfRounds([[1]], [[1], [2]]));
  assert.equal(spread([3, 1, 2]).median, 2);
});

test("arms take turns, and none always comes first", async () => {
  const order = [];
  const arms = Object.fromEntries(["a", "b", "c"].map((name) => [name, async (round) => order.push(`${name}${round}`)]));
  await inTurns(arms, 3);
  assert.deepEqual(order, ["a0", "b0", "c0", "b1", "c1", "a1", "c2", "a2", "b2"]);
});

const report = (figures, more = {}) => ({
  part: "host", figures, tables: [{ title: "T", columns: ["a <b>", "b"], rows: [["x", "**missed**"]], note: "`n`" }],
  date: "2026-01-02T03:04:05.000Z", commit: { hash: "abc", changed: false }, seconds: 90, versions: { node: "v20" },
  machine: { cores: 2, cpu: "a CPU", memoryGiB: 1, loadBefore: 0.5 }, ...more,
});
const targets = [
  { part: "host", at: "a/times", target: 2, better: "lower", area: "x", text: "low" },
  { part: "host", at: "rate", target: 10, better: "higher", area: "x", text: "high" },
  { part: "host", at: "nothing/here", target: 1, better: "lower", area: "x", text: "absent" },
  { told: "make soak", area: "x", text: "elsewhere" },
];

test("targets are met, missed, or said to be without a value", () => {
  const all = verdicts(targets, [report({ a: { times: { median: 3, min: 1, max: 4 } }, rate: 20 })]);
  assert.deepEqual(all.map(({ state }) => state), ["missed", "met", "not measured", "told elsewhere"]);
  assert.deepEqual(all.map(({ times }) => times), [1.5, 0.5, undefined, undefined]);
  assert.deepEqual(tally(all), { met: 1, missed: 1, unmeasured: 1, elsewhere: 1 });
});

test("a part that failed has no figures, whatever it wrote", () => {
  const all = verdicts(targets, [report({ rate: 20 }, { failed: "a wrong answer" })]);
  assert.equal(all[1].state, "not measured");
  assert.match(summary([report({}, { failed: "a wrong answer" })], all, tally(all)), /Failed, so it has no figures:\*\* a wrong answer/);
});

test("figures are found by path, numbers and ratios alike", () => {
  assert.deepEqual(figureAt({ "Zipf 1.5": { n: 3 } }, "Zipf 1.5/n"), { median: 3 });
  assert.equal(figureAt({ a: "text" }, "a"), undefined);
  assert.equal(figureAt(undefined, "a/b"), undefined);
});

test("every target names a figure or who tells it, and none twice", () => {
  const keys = TARGETS.map(({ part, at, text }) => `${part} ${at ?? text}`);
  assert.equal(new Set(keys).size, keys.length);
  for (const { part, at, target, better, told, text } of TARGETS) {
    assert.ok(told !== undefined || (part && at && target > 0 && ["lower", "higher"].includes(better)), text);
  }
});

test("axes hold what is drawn", () => {
  for (const [values, isLog] of [[[10, 1_000_000], true], [[3, 4], true], [[7], true], [[0.2, 9], false], [[0], false]]) {
    const { ticks, place } = axis(values, isLog);
    assert.ok(ticks.length > 0 && values.every((value) => place(value) >= 0 && place(value) <= 1), JSON.stringify({ values, ticks }));
  }
  assert.throws(() => axis([0, 1], true));
  assert.equal(short(1_500_000), "1.5M");
});

test("the page needs nothing else, and text in it is text", () => {
  const all = verdicts(targets, [report({ rate: 1 })]);
  const plots = [{ title: "a <curve>", x: { label: "clients" }, y: { label: "ms" }, series: [{ name: "s & t", points: [[1, 2, 1, 3], [10, 4]] }] }];
  const page = reportPage([report({}, { plots })], all, tally(all));
  assert.match(page, /a &lt;curve> \(ms\)/);
  assert.match(page, /<th>a &lt;b&gt;<\/th>/);
  assert.match(page, /s &amp; t/);
  assert.doesNotMatch(page, /NaN|undefined|<script|src=|https?:/);
  assert.doesNotMatch(plotOf(plots[0]) + plotOf({ title: "t", unit: "ms", bars: [{ label: "a", value: 3, ours: true }, { label: "b", value: 700 }] }) + targetsPlot("t", [{ label: "l", times: 1000, met: false }]), /NaN|undefined/);
});

test("a loss is one that no round explains away", () => {
  const old = { median: 2, min: 1.8, max: 2.2, better: "lower" };
  const lost = (value, before = old) => compare({ ratios: { r: before }, instructions: {} }, { ratios: { r: value }, instructions: {} })[0].isLost;
  assert.equal(lost({ median: 3, min: 2.5, max: 4 }), true);
  assert.equal(lost({ median: 3, min: 2.1, max: 4 }), false, "a round was as good");
  assert.equal(lost({ median: 2.3, min: 2.25, max: 4 }), false, "hardly worse");
  assert.equal(lost({ median: 1, min: 0.5, max: 1.2 }), false, "better");
  assert.equal(lost({ median: 1, min: 0.5, max: 1.2 }, { ...old, better: "higher" }), true);
  assert.equal(lost(undefined), true, "not measured any more");
});

test("instructions may grow by a tenth", () => {
  const lost = (value) => compare({ ratios: {}, instructions: { path: 1000 } }, { ratios: {}, instructions: { path: value } })[0].isLost;
  assert.deepEqual([900, 1050, 1101, undefined].map(lost), [false, false, true, true]);
});

test("the headline has what was measured, and no row without a figure", () => {
  const text = headline([report({ 5000: { live: 1000, bare: 2000 } }, { part: "relay-fanout" }), report({}, { part: "images" })]);
  assert.match(text, /\| deliveries per second[^|]*\| 1000 \| 2000: a bare loop/);
  assert.equal(text.trim().split("\n").length, 3);
});

test("a board tells when what was written is shown, and refuses what was not written", async () => {
  const board = new Board();
  const entry = { topic: "a", n: 2, body: "two" };
  const shown = board.expect(entry);
  board.show("a", { topic: "a", n: 1, body: "one" }, 5);
  board.show("a", entry, 7);
  assert.equal(await shown, 7);
  assert.equal(board.needless, 1);
  const wrong = board.expect({ ...entry, n: 3 });
  board.show("a", { ...entry, n: 3, body: "other" }, 9);
  await assert.rejects(wrong, /wrong answer/);
});

test("a board settles with the last of its topics, and breaks with a subscriber", async () => {
  const board = new Board();
  const settled = board.settle(new Map([["a", 2], ["b", 1]]), 60_000);
  board.show("b", { topic: "b", n: 1 }, 3);
  board.show("a", { topic: "a", n: 1 }, 4);
  board.show("a", { topic: "a", n: 2 }, 6);
  assert.equal(await settled, 6);
  assert.throws(() => board.check(new Map([["a", 2], ["b", 2]])), /1 of 2 subscribers are wrong/);
  const never = board.settle(new Map([["a", 9]]), 60_000);
  board.fail(new Error("gone"));
  await assert.rejects(never, /gone/);
});
