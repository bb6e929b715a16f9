// Percentiles of samples, and ratios of what was measured in turns.

/** The value below which `share` (0 to 1) of the samples lie, by nearest rank. */
export function percentile(samples, share) {
  if (samples.length === 0) {
    throw new Error("no samples");
  }
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

export const median = (samples) => percentile(samples, 0.5);

/** Count, p50, p99 and extremes of samples; the unit is theirs. */
export function summarize(samples) {
  return {
    count: samples.length,
    p50: percentile(samples, 0.5),
    p99: percentile(samples, 0.99),
    min: percentile(samples, 0),
    max: percentile(samples, 1),
  };
}

/**
 * How many times as much A takes as B, from rounds in which both were
 * measured: the ratio of their medians in each round, of which the median and
 * the extremes are told.
 */
export function ratioOfRounds(roundsOfA, roundsOfB) {
  if (roundsOfA.length !== roundsOfB.length) {
    throw new Error(`${roundsOfA.length} rounds of one, ${roundsOfB.length} of the other`);
  }
  return spread(roundsOfA.map((samples, round) => median(samples) / median(roundsOfB[round])));
}

/** Median and extremes of what the rounds gave, one number each. */
export function spread(ratios) {
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios), rounds: ratios.length };
}

/**
 * Runs arms in turns, A B C, B C A, ...: each round measures every arm once,
 * and none always comes first. Resolves to the samples of each arm, by round.
 * `arms`: functions by name, each resolving to the samples of one round.
 */
export async function inTurns(arms, rounds) {
  const names = Object.keys(arms);
  const samples = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(round + turn) % names.length];
      samples[name].push(await arms[name](round));
    }
  }
  return samples;
}
