const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 365 * 86_400_000],
  ["month", 30 * 86_400_000],
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

/** Date and time in full, for a tooltip. */
export const fullTime = (ms: number): string => full.format(ms);

/** "5 min. ago", "yesterday". */
export function ago(ms: number, now: number): string {
  const [unit, size] = UNITS.find(([, size]) => now - ms >= size) ?? [];
  return unit === undefined || size === undefined ? "now" : relative.format(-Math.floor((now - ms) / size), unit);
}
