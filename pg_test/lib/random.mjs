/** The seed of this run: PG_LIVE_SEED, or one from the clock. */
export const SEED = Number(process.env.PG_LIVE_SEED ?? Date.now() % 2 ** 31);

/** A small seeded generator (mulberry32) of numbers in [0, 1), so that a failure can be repeated. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
