//! Counters, in Prometheus text form at `/metrics`.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use pg_live_session::Counts;

macro_rules! metrics {
    ($($name:ident: $kind:literal, $help:literal;)*) => {
        /// What the relay did since it started.
        #[derive(Debug, Default)]
        pub(crate) struct Metrics {
            $(#[doc = $help] pub(crate) $name: Metric,)*
        }

        impl Metrics {
            /// All values as Prometheus text.
            pub(crate) fn render(&self) -> String {
                let mut out = String::new();
                $(render_one(&mut out, stringify!($name), $kind, $help, &self.$name);)*
                out
            }
        }
    };
}

metrics! {
    runs: "counter", "Runs of queries of a session, each at one snapshot.";
    runs_failed: "counter", "Runs that came to nothing and were tried again.";
    runs_discarded: "counter", "Runs whose snapshot was too old.";
    executions: "counter", "Executions of query functions, for sessions and over HTTP.";
    transitions_sent: "counter", "Transitions sent to clients.";
    results_sent: "counter", "Query results sent to clients.";
    results_unchanged: "counter", "Query results that were executed, found unchanged and not sent.";
    results_kept: "counter", "Query results that were kept without being executed.";
    keeps_failed: "counter", "Query results that were to be kept and had to be executed after all.";
    invalidations: "counter", "Invalidations received from the database.";
    invalidations_used: "counter", "Invalidations that made a session run its queries.";
    attachments: "counter", "Times that the control connection was attached.";
    mutations: "counter", "Mutations that ended, successful or not.";
    mutations_failed: "counter", "Mutations that failed.";
    mutations_replayed: "counter", "Mutations that were sent again and answered from their stored outcome.";
    mutation_retries: "counter", "Attempts of mutations that were repeated.";
    connections_opened: "counter", "Connections made to the database.";
    replica_runs: "counter", "Runs that were begun on replicas.";
    replica_misses: "counter", "Times that a replica was too late or gone for a run.";
    replica_tickets: "counter", "Times that the primary was asked for the present, for runs on replicas.";
    connections_unclean: "counter", "Connections closed because a mutation left something in their session.";
    sessions_total: "counter", "WebSocket sessions ever opened.";
    sessions: "gauge", "Open WebSocket sessions.";
    subscriptions: "gauge", "Live queries of all sessions.";
    replicas_usable: "gauge", "Replicas that can be reached and are in time.";
    attached: "gauge", "1 while the control connection is attached, 0 otherwise.";
}

/// One counter or gauge.
#[derive(Debug, Default)]
pub(crate) struct Metric(AtomicU64);

impl Metric {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Takes over what a session counted.
    pub(crate) fn add_counts(&self, counts: Counts) {
        let Counts {
            transitions,
            results_sent,
            results_unchanged,
            results_kept,
            keeps_failed,
            runs_discarded,
            invalidations,
        } = counts;
        self.transitions_sent.add(transitions);
        self.results_sent.add(results_sent);
        self.results_unchanged.add(results_unchanged);
        self.results_kept.add(results_kept);
        self.keeps_failed.add(keeps_failed);
        self.runs_discarded.add(runs_discarded);
        self.invalidations_used.add(invalidations);
    }
}

fn render_one(out: &mut String, name: &str, kind: &str, help: &str, metric: &Metric) {
    let value = metric.0.load(Ordering::Relaxed);
    let total = if kind == "counter" && !name.ends_with("_total") {
        "_total"
    } else {
        ""
    };
    let name = format!("pg_live_{name}{total}");
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_one_sample_per_metric() {
        let metrics = Metrics::default();
        metrics.add_counts(Counts {
            transitions: 2,
            ..Counts::default()
        });
        metrics.sessions.add(3);
        metrics.sessions.subtract(1);
        let text = metrics.render();
        assert!(
            text.contains("\npg_live_transitions_sent_total 2\n"),
            "{text}"
        );
        assert!(
            text.contains("# TYPE pg_live_sessions gauge\npg_live_sessions 2\n"),
            "{text}"
        );
        assert!(text.contains("\npg_live_sessions_total 0\n"), "{text}");
    }
}
