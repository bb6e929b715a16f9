import { ago, fullTime } from "../lib/time";

/** How long ago something was; the exact time is its tooltip. */
export function Ago({ ms }: { ms: number }) {
  return (
    <time dateTime={new Date(ms).toISOString()} title={fullTime(ms)}>
      {ago(ms, Date.now())}
    </time>
  );
}
