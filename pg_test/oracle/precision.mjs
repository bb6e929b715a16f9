// How many runs of live queries were for nothing, by the class of the query, in the default mix. After each commit all that
// was invalidated is run again, so a run answers for one transaction.
import { mixOf } from "./mix.mjs";
import { Oracle } from "./oracle.mjs";

/** All are compared now and then, some of them after each commit. */
const ALL_EVERY = 100;
const SAMPLE = { any: 0, kept: 10, stale: true };

/** `classes`: only queries of these. Resolves to the classes, each with its queries, its runs after an invalidation, and how many of these found no change. */
export async function measurePrecision({ writer, reader, seed, commits, queries, classes: only }) {
  const oracle = new Oracle(seed, { queries, sample: SAMPLE, before: 0, mix: mixOf(only) });
  await oracle.begin(writer, reader);
  for (let commit = 1; commit <= commits; commit += 1) {
    await oracle.write();
    await oracle.step(commit % ALL_EVERY === 0 || commit === commits);
    if (oracle.divergence) {
      throw oracle.divergence;
    }
  }
  const classes = {};
  for (const { of } of oracle.queries) {
    classes[of] ??= { queries: 0, runs: oracle.reruns[of] ?? 0, unchanged: oracle.needless[of] ?? 0 };
    classes[of].queries += 1;
  }
  for (const one of Object.values(classes)) {
    // Of no run there is no share.
    one.share = one.runs === 0 ? null : one.unchanged / one.runs;
  }
  return { classes, comparisons: oracle.comparisons };
}
