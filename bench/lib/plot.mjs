// Plots as inline SVG, without a script and without colours of their own: the page's style sheet has them, light and dark.
import { figure } from "./format.mjs";

const WIDTH = 640;
const HEIGHT = 300;
const MARGIN = { left: 64, right: 16, top: 12, bottom: 44 };
const LEGEND_LINE = 18;

const escape = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

/** A number for an axis: 1,000,000 is 1M. */
export function short(value) {
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size) {
      return `${Number((value / size).toPrecision(3))}${letter}`;
    }
  }
  return String(Number(value.toPrecision(3)));
}

/** Powers of ten about the values; if they are few, also 2 and 5 times those. */
function logTicks(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const factors = last - first > 2 ? [1] : [1, 2, 5];
  const ticks = [];
  for (let power = first; power <= last; power += 1) {
    ticks.push(...factors.map((factor) => factor * 10 ** power));
  }
  const from = Math.max(0, ticks.findLastIndex((tick) => tick <= low));
  const to = ticks.findIndex((tick) => tick >= high);
  return ticks.slice(from, (to < 0 ? ticks.length : to) + 1);
}

/** Round steps from nothing on. */
function linearTicks(high) {
  const rough = (high || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  return Array.from({ length: Math.ceil(high / step - 1e-9) + 1 }, (_, n) => n * step);
}

/** Ticks of an axis, and the place of a value on it, 0 to 1. */
export function axis(values, isLog) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (isLog && !(low > 0)) {
    throw new Error(`a logarithmic axis has no place for ${low}`);
  }
  const ticks = isLog ? logTicks(low, high) : linearTicks(high);
  const scale = isLog ? Math.log10 : (value) => value;
  const [from, to] = [scale(ticks[0]), scale(ticks.at(-1))];
  return { ticks, place: (value) => (to === from ? 0.5 : (scale(value) - from) / (to - from)) };
}

const line = (x1, y1, x2, y2, name) => `<line class="${name}" x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}"/>`;
const text = (x, y, name, content) => `<text class="${name}" x="${x.toFixed(1)}" y="${y.toFixed(1)}">${escape(content)}</text>`;

function frame(x, y, plot, bottom, right) {
  const parts = y.ticks.flatMap((tick) => [
    line(MARGIN.left, plot.y(tick), right, plot.y(tick), "grid"),
    text(MARGIN.left - 8, plot.y(tick) + 4, "tick end", short(tick)),
  ]);
  parts.push(...x.ticks.flatMap((tick) => [
    line(plot.x(tick), bottom, plot.x(tick), bottom + 4, "axis"),
    text(plot.x(tick), bottom + 18, "tick middle", short(tick)),
  ]));
  parts.push(line(MARGIN.left, bottom, right, bottom, "axis"));
  return parts;
}

/**
 * Lines over a scale. `x`, `y`: { label, log }; `series`: { name, points: [[x, y], ...] }, a point may end with the least
 * and the most that was measured.
 */
export function linePlot({ title, x, y, series }) {
  const points = series.flatMap((one) => one.points);
  const xAxis = axis(points.map(([at]) => at), x.log ?? true);
  const yAxis = axis(points.flatMap(([, ...values]) => values), y.log ?? false);
  const [right, bottom] = [WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom];
  const plot = {
    x: (value) => MARGIN.left + xAxis.place(value) * (right - MARGIN.left),
    y: (value) => bottom - yAxis.place(value) * (bottom - MARGIN.top),
  };
  const parts = frame(xAxis, yAxis, plot, bottom, right);
  series.forEach(({ name, points: own }, n) => {
    const color = `c${n % 6}`;
    const path = own.map(([at, value], index) => `${index === 0 ? "M" : "L"}${plot.x(at).toFixed(1)} ${plot.y(value).toFixed(1)}`).join("");
    parts.push(`<path class="line ${color}" d="${path}"/>`);
    for (const [at, value, least, most] of own) {
      if (most !== undefined) {
        parts.push(line(plot.x(at), plot.y(least), plot.x(at), plot.y(most), `whisker ${color}`));
      }
      const told = `${name}: ${figure(value)} at ${short(at)}`;
      parts.push(`<circle class="dot ${color}" cx="${plot.x(at).toFixed(1)}" cy="${plot.y(value).toFixed(1)}" r="4"><title>${escape(told)}</title></circle>`);
    }
    const legend = HEIGHT + 8 + n * LEGEND_LINE;
    parts.push(`<circle class="dot ${color}" cx="${MARGIN.left + 6}" cy="${legend}" r="5"/>`, text(MARGIN.left + 18, legend + 4, "legend", name));
  });
  parts.push(text((MARGIN.left + right) / 2, HEIGHT - 8, "tick middle", x.label));
  const height = HEIGHT + 8 + series.length * LEGEND_LINE;
  return figureElement(`${title} (${y.label})`, height, parts);
}

/** Horizontal bars on a logarithmic scale. `bars`: { label, value, min, max, ours }. */
function barPlot({ title, unit, bars }) {
  const [left, right, top, step] = [300, WIDTH - 60, 4, 24];
  const values = bars.flatMap(({ value, min, max }) => [value, min, max].filter((one) => one !== undefined));
  const { ticks, place } = axis([...values, Math.min(...values) / 2], true);
  const x = (value) => left + place(value) * (right - left);
  const bottom = top + bars.length * step;
  const parts = ticks.flatMap((tick) => [line(x(tick), top, x(tick), bottom, "grid"), text(x(tick), bottom + 16, "tick middle", short(tick))]);
  bars.forEach(({ label, value, ours }, n) => {
    const y = top + n * step + step / 2;
    const color = ours ? "c0" : "c5";
    parts.push(
      text(left - 8, y + 4, "legend end", label.length > 44 ? `${label.slice(0, 42)}…` : label),
      line(left, y, x(value), y, `solid ${color}`),
      text(x(value) + 8, y + 4, "tick", figure(value)),
    );
  });
  return figureElement(`${title} (${unit}, logarithmic)`, bottom + 24, parts);
}

/** A plot of a report: bars, or lines over a scale. */
export const plotOf = (plot) => (plot.bars === undefined ? linePlot(plot) : barPlot(plot));

/** How far each value is from its target, on a logarithmic scale; left of the line is better. `rows`: { label, times, met }. */
export function targetsPlot(title, rows) {
  const [left, right, top, step] = [500, WIDTH + 360, 24, 20];
  const bounded = (times) => Math.min(20, Math.max(0.05, times));
  const place = (times) => left + ((Math.log10(bounded(times)) - Math.log10(0.05)) / Math.log10(400)) * (right - left - 20);
  const bottom = top + rows.length * step;
  const parts = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20].flatMap((tick) => [
    line(place(tick), top, place(tick), bottom, tick === 1 ? "goal" : "grid"),
    text(place(tick), bottom + 16, "tick middle", tick === 1 ? "target" : `${tick}×`),
  ]);
  rows.forEach(({ label, times, met }, n) => {
    const y = top + n * step + step / 2;
    const name = met ? "good" : "bad";
    parts.push(
      text(left - 8, y + 4, "legend end", label.length > 78 ? `${label.slice(0, 76)}…` : label),
      line(place(1), y, place(times), y, `bar ${name}`),
      `<circle class="dot ${name}" cx="${place(times).toFixed(1)}" cy="${y}" r="5"><title>${escape(`${label}: ${figure(times)} times its target`)}</title></circle>`,
    );
  });
  return figureElement(title, bottom + 24, parts, right);
}

function figureElement(title, height, parts, width = WIDTH) {
  return `<figure><figcaption>${escape(title)}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(title)}">${parts.join("")}</svg></figure>`;
}
