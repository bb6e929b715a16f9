/** The relay's counters, by name; the samples of one name are added up over their labels. */
export async function relayMetrics(url) {
  const response = await fetch(`${url}/metrics`);
  if (!response.ok) {
    throw new Error(`GET /metrics: ${response.status}`);
  }
  const counters = {};
  for (const line of (await response.text()).split("\n")) {
    const sample = /^([A-Za-z_:][\w:]*)(?:\{[^}]*\})?\s+(\S+)/.exec(line);
    if (sample !== null) {
      counters[sample[1]] = (counters[sample[1]] ?? 0) + Number(sample[2]);
    }
  }
  return counters;
}

/** The extension's counters, by name. */
async function extensionStats(db) {
  const { rows } = await db.query("SELECT name, value FROM live.stats");
  return Object.fromEntries(rows.map(({ name, value }) => [name, Number(value)]));
}

/**
 * The relay's count of queries executed and of results sent to clients, and the database's of invalidations sent
 * and of functions run. `admin` may read live.stats.
 */
export async function counts(url, admin) {
  const { pg_live_executions_total: reruns, pg_live_results_sent_total: pushes } = await relayMetrics(url);
  const { invalidations, functions_run: functionsRun } = await extensionStats(admin);
  return { reruns, pushes, invalidations, functionsRun };
}
