// How many runs of live queries in SQL find that nothing has changed, by class of query. Nothing is timed: the figures depend
// on the seed (PG_LIVE_SEED) and on the plans, not on the machine.
import pg from "pg";
import { SEED } from "../../pg_test/lib/random.mjs";
import { measurePrecision } from "../../pg_test/oracle/precision.mjs";
import { figure } from "../lib/format.mjs";

const SIZES = { full: { commits: 3_000, queries: 280 }, quick: { commits: 200, queries: 110 } };

export async function measure({ server, say, quick }) {
  const size = quick ? SIZES.quick : SIZES.full;
  say(`precision: ${size.commits} commits beside ${size.queries} live queries, PG_LIVE_SEED=${SEED}`);
  const open = async () => {
    const client = new pg.Client({ connectionString: server.env.PG_LIVE_ADMIN_URL });
    await client.connect();
    return client;
  };
  const [writer, reader] = [await open(), await open()];
  try {
    const { classes, comparisons } = await measurePrecision({ writer, reader, seed: SEED, ...size });
    return report(classes, comparisons, size);
  } finally {
    await Promise.all([writer.end(), reader.end()]);
  }
}

const percent = (share) => `${figure(share * 100)} %`;

function report(classes, comparisons, { commits, queries }) {
  const rows = Object.entries(classes).map(([of, { queries, runs, unchanged, share }]) => [
    of, String(queries), String(runs), String(unchanged), share === null ? "" : percent(share),
  ]);
  return {
    figures: { seed: SEED, commits, comparisons, classes },
    tables: [
      {
        title: "Runs of live queries in SQL that found no change",
        columns: ["class", "queries", "runs", "for nothing", "share"],
        rows,
        note:
          `${commits.toLocaleString("en")} transactions beside ${queries} live queries, PG_LIVE_SEED=${SEED}: tables of eight columns, queries that show three of them, ` +
          "UPDATEs that change any column with the same chance. After each commit all that was invalidated is run again, and of the rest some " +
          `are, every hundredth time all: ${comparisons.toLocaleString("en")} results that were not invalidated were compared, and none had changed.`,
      },
    ],
  };
}
