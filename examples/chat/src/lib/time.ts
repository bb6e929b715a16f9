const DAY_MS = 24 * 60 * 60 * 1000;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", month: "long", day: "numeric" });

/** Hours and minutes of a time in milliseconds. */
export const clockTime = (ms: number): string => clock.format(ms);

/** Date and time in full, for a tooltip. */
export const fullTime = (ms: number): string => full.format(ms);

/** A number that is the same for all times of one local day. */
export const dayKey = (ms: number): number => new Date(ms).setHours(0, 0, 0, 0);

/** "Today", "Yesterday" or the date. */
export function dayLabel(ms: number, now: number): string {
  const daysAgo = Math.round((dayKey(now) - dayKey(ms)) / DAY_MS);
  if (daysAgo === 0) {
    return "Today";
  }
  return daysAgo === 1 ? "Yesterday" : day.format(ms);
}
