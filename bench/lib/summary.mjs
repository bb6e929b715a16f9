// summary.md: the tables of each part, and the targets.
import { figure, table } from "./format.mjs";
import { measured, wanted } from "./html.mjs";

function section({ part, date, commit, machine, versions, database, seconds, failed, tables = [] }) {
  const postgres = database === undefined ? "" : `, Postgres ${database.server_version}, fsync ${database.fsync}`;
  const changed = commit.changed ? " with changes" : "";
  const head =
    `## ${part}\n\n${date}, commit ${commit.hash}${changed}, ${machine.cores} × ${machine.cpu}, ` +
    `${machine.memoryGiB} GiB, load before ${figure(machine.loadBefore)}, Node ${versions.node}${postgres}, ${figure(seconds)} s.`;
  if (failed !== undefined) {
    return `${head}\n\n**Failed, so it has no figures:** ${failed}`;
  }
  const texts = tables.flatMap(({ title, columns, rows, note }) => [`### ${title}`, table(columns, rows), note]);
  return [head, ...texts].join("\n\n");
}

/** The targets that have a value, for the README too. */
function targets(all, counts) {
  const rows = all
    .filter(({ value }) => value !== undefined)
    .map((one) => [one.text, wanted(one), measured(one), `${one.state === "missed" ? "**missed**" : "met"}${one.quick ? ", short form" : ""}`]);
  const open = all.filter(({ state }) => state === "not measured").map(({ text }) => `- ${text}`);
  const parts = [
    "## Targets",
    `${counts.met} met, ${counts.missed} missed, ${counts.unmeasured} not measured; ${counts.elsewhere} are told by tests and soaks.`,
    table(["", "target", "measured", ""], rows),
  ];
  return [...parts, ...(open.length === 0 ? [] : [`Not measured:\n\n${open.join("\n")}`])].join("\n\n");
}

/** The text. */
export const summary = (reports, all, counts) => `# Benchmarks\n\n${[targets(all, counts), ...reports.map(section)].join("\n\n")}\n`;
