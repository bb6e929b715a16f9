// When something has clearly become worse than it was.

/** Ratios have to be worse by so much, and in every round, to count. */
const RATIO_LOSS = 1.25;
/** Instructions vary by what hashes to where; more than that is another program. */
const INSTRUCTION_LOSS = 1.1;

const best = ({ median, min = median, max = median }, better) => (better === "lower" ? min : max);
const worst = ({ median, min = median, max = median }, better) => (better === "lower" ? max : min);
const times = (now, before, better) => (better === "lower" ? now / before : before / now);

/** `before` and `now`: { ratios: { name: { median, min, max, better } }, instructions: { name: count } }. Each with its verdict. */
export function compare(before, now) {
  const ratios = Object.entries(before.ratios).map(([name, old]) => {
    const value = now.ratios[name];
    if (value === undefined) {
      return { name, old: old.median, isLost: true, times: undefined };
    }
    const worse = times(value.median, old.median, old.better);
    const apart = times(best(value, old.better), worst(old, old.better), old.better) > 1;
    return { name, old: old.median, value: value.median, times: worse, isLost: worse > RATIO_LOSS && apart };
  });
  const instructions = Object.entries(before.instructions).map(([name, old]) => {
    const value = now.instructions[name];
    return { name, old, value, times: value === undefined ? undefined : value / old, isLost: !(value <= old * INSTRUCTION_LOSS) };
  });
  return [...ratios, ...instructions];
}
