// Figures as text, and tables in Markdown.

/** Three significant digits, without an exponent. */
export function figure(value) {
  if (!Number.isFinite(value)) {
    return String(value);
  }
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 3));
}

/** A ratio with its spread over the rounds. */
export const ratio = ({ median, min, max }) => `${figure(median)} (${figure(min)} to ${figure(max)})`;

/** Seconds as minutes and seconds. */
export function duration(seconds) {
  const whole = Math.round(seconds);
  return whole < 60 ? `${figure(seconds)} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** A Markdown table; the first column is text, the others are figures. */
export function table(columns, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map((_, index) => (index === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}
