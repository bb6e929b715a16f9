// What the targets came to, by the reports of the parts.

/** The figure at a path: a number, or { median, min, max } of rounds; undefined: not measured. */
export function figureAt(figures, path) {
  let at = figures;
  for (const name of path.split("/")) {
    at = at?.[name];
  }
  if (typeof at === "number") {
    return { median: at };
  }
  return typeof at?.median === "number" ? at : undefined;
}

/**
 * Each target with what was measured. `times`: how many times its target a value is, so that less than 1 is better whatever
 * is better. `state`: met, missed, not measured, or told elsewhere.
 */
export function verdicts(targets, reports) {
  const byPart = new Map(reports.map((report) => [report.part, report]));
  return targets.map((target) => {
    if (target.told !== undefined) {
      return { ...target, state: "told elsewhere" };
    }
    const report = byPart.get(target.part);
    const value = report?.failed === undefined ? figureAt(report?.figures, target.at) : undefined;
    if (value === undefined) {
      return { ...target, state: "not measured" };
    }
    const wanted = (figure) => (target.better === "lower" ? figure <= target.target : figure >= target.target);
    const times = target.better === "lower" ? value.median / target.target : target.target / value.median;
    return { ...target, value, times, quick: report.quick === true, state: wanted(value.median) ? "met" : "missed" };
  });
}

/** How many are met, of those that have a value. */
export function tally(all) {
  const count = (state) => all.filter((one) => one.state === state).length;
  return { met: count("met"), missed: count("missed"), unmeasured: count("not measured"), elsewhere: count("told elsewhere") };
}
