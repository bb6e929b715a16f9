// report.html: one file that needs nothing else. Tables and plots of every part's newest report, and the targets.
import { duration, figure } from "./format.mjs";
import { plotOf, targetsPlot } from "./plot.mjs";

const STYLE = `
:root { color-scheme: light dark; --text: #1d2733; --soft: #5b6776; --back: #ffffff; --line: #d9dfe6; --shade: #f4f6f9;
  --good: #1a7f4b; --bad: #c0392b; --c0: #1f6fd6; --c1: #d9730d; --c2: #1a7f4b; --c3: #8e44ad; --c4: #b3245e; --c5: #5d6d7e; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e9ef; --soft: #9aa7b6; --back: #14191f; --line: #333d48; --shade: #1c232b;
  --good: #4cc38a; --bad: #ff7b6b; --c0: #6cb0ff; --c1: #ffb05c; --c2: #4cc38a; --c3: #cf9bf0; --c4: #ff86b2; --c5: #a9b6c4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 68rem; color: var(--text); background: var(--back); font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 .3rem; } h2 { margin: 2.4rem 0 .2rem; padding-top: 1rem; border-top: 1px solid var(--line); } h3 { margin: 1.4rem 0 .4rem; }
p { margin: .4rem 0; } .soft, figcaption { color: var(--soft); font-size: .87rem; } a { color: var(--c0); }
nav a { margin-right: .8rem; white-space: nowrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th { background: var(--shade); font-weight: 600; } th:first-child, td:first-child { text-align: left; }
td.text { text-align: left; } th.text { text-align: left; } #goals td { white-space: nowrap; } #goals td:first-child { white-space: normal; } td.met { color: var(--good); } .missed { color: var(--bad); font-weight: 600; }
tr.missed td { background: color-mix(in srgb, var(--bad) 10%, transparent); color: var(--text); font-weight: 400; } tr.missed td.state { color: var(--bad); font-weight: 600; }
figure { margin: 1rem 0; } .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 0 1.5rem; } svg { width: 100%; height: auto; max-width: 60rem; display: block; } .plots svg { max-width: 36rem; }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; } svg .tick { fill: var(--soft); } .end { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: var(--line); } .axis { stroke: var(--soft); } .goal { stroke: var(--text); stroke-width: 1.5; } .line { fill: none; stroke-width: 2; } .whisker { stroke-width: 1.5; opacity: .6; }
.bar { stroke-width: 6; opacity: .35; } .solid { stroke-width: 12; }
${[0, 1, 2, 3, 4, 5].map((n) => `.c${n} { stroke: var(--c${n}); } .dot.c${n} { fill: var(--c${n}); }`).join("\n")}
.good { stroke: var(--good); } .dot.good { fill: var(--good); } .bad { stroke: var(--bad); } .dot.bad { fill: var(--bad); }
`;

const escape = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Text with the little Markdown that tables and notes have: code and bold. */
const inline = (text) =>
  escape(text ?? "")
    .replace(/`([^`]*)`/g, "<code>$1</code>")
    .replace(/\*\*missed\*\*/g, '<span class="missed">missed</span>')
    .replace(/\*\*([^*]*)\*\*/g, "<strong>$1</strong>");

function htmlTable({ columns, rows }) {
  const cells = (tag, row) => row.map((cell) => `<${tag}>${inline(cell)}</${tag}>`).join("");
  return `<div class="wide"><table><thead><tr>${cells("th", columns)}</tr></thead><tbody>${rows
    .map((row) => `<tr>${cells("td", row)}</tr>`)
    .join("")}</tbody></table></div>`;
}

/** A measured value with its spread. */
export function measured({ value, unit = "times" }) {
  const spread = value.min === undefined ? "" : ` (${figure(value.min)} to ${figure(value.max)})`;
  return `${figure(value.median)}${spread}${unit === "times" ? "" : ` ${unit}`}`;
}

/** What is wanted, in words. */
export const wanted = ({ target, better, unit }) => `${better === "lower" ? "at most" : "at least"} ${target}${unit === undefined ? "" : ` ${unit}`}`;

function targetsSection(all, counts) {
  const rows = all.map((one) => {
    const value = one.value === undefined ? (one.told ?? "") : measured(one);
    const state = one.state === "told elsewhere" ? "not by this bench" : one.state;
    const stated = one.quick ? `${state} (short form)` : state;
    return `<tr class="${one.state}"><td>${inline(one.text)}</td><td class="text">${one.area}</td><td>${one.target === undefined ? "" : wanted(one)}</td><td>${inline(value)}</td><td class="state ${one.state}">${stated}</td></tr>`;
  });
  const plotted = all.filter((one) => one.times !== undefined && Number.isFinite(one.times) && one.times > 0);
  const plot = plotted.length === 0 ? "" : targetsPlot("Measured value beside its target; left of the line is better than wished for (the scale ends at 20 times)",
    plotted.toSorted((a, b) => b.times - a.times).map((one) => ({ label: one.text.replaceAll("`", ""), times: one.times, met: one.state === "met" })));
  return `<h2 id="targets">Targets</h2><p>${counts.met} met, <span class="missed">${counts.missed} missed</span>, ${counts.unmeasured} not measured; ${counts.elsewhere} are told by tests and soaks, not by this bench.</p>
${plot}<div class="wide"><table id="goals"><thead><tr><th>what</th><th class="text">area</th><th>target</th><th>measured</th><th></th></tr></thead><tbody>${rows.join("\n")}</tbody></table></div>`;
}

function partSection(report) {
  const { part, date, commit, machine, versions, database, seconds, failed, tables = [], plots = [], quick } = report;
  const facts = [
    date.slice(0, 16).replace("T", " "),
    `commit ${commit.hash}${commit.changed ? " with changes" : ""}`,
    `${machine.cores} × ${machine.cpu}, ${machine.memoryGiB} GiB`,
    `load ${figure(machine.loadBefore)} before`,
    `Node ${versions.node}`,
    ...(database === undefined ? [] : [`Postgres ${database.server_version}, fsync ${database.fsync}`]),
    duration(seconds),
    ...(quick ? ["short form"] : []),
  ];
  const head = `<h2 id="${part}">${part}</h2><p class="soft">${facts.map(escape).join(" · ")}</p>`;
  if (failed !== undefined) {
    return `${head}<p class="missed">Failed, so it has no figures: ${escape(failed)}</p>`;
  }
  const drawn = plots.length === 0 ? "" : `<div class="plots">${plots.map(plotOf).join("")}</div>`;
  return head + drawn + tables.map((table) => `<h3>${inline(table.title)}</h3>${htmlTable(table)}<p class="soft">${inline(table.note)}</p>`).join("");
}

/** The page. */
export function reportPage(reports, all, counts) {
  const links = ["targets", ...reports.map(({ part }) => part)].map((name) => `<a href="#${name}">${name}</a>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>pg_live benchmarks</title><style>${STYLE}</style></head><body>
<h1>pg_live benchmarks</h1>
<p>All sides of a comparison take turns in the same minutes, on the same machine and in the same cluster; ratios are of the medians of each round, told by their median and extremes. Every answer is checked. Load generator, relay, peers and Postgres share the cores.</p>
<nav>${links.join("")}</nav>
${targetsSection(all, counts)}
${reports.map(partSection).join("\n")}
</body></html>
`;
}
