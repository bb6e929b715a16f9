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
export async function extensionStats(db) {
  const { rows } = await db.query("SELECT name, value FROM live.stats");
  return Object.fromEntries(rows.map(({ name, value }) => [name, Number(value)]));
}

/** How often the relay ran a live query again after a write, and how many changed results it sent for that. */
export async function relayCounts(url) {
  const metrics = await relayMetrics(url);
  return { reruns: metrics.pg_live_query_reruns_total ?? 0, pushes: metrics.pg_live_query_pushes_total ?? 0 };
}
