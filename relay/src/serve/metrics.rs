//! Counters, in Prometheus text form at `/metrics`.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pg_live_session::Counts;

macro_rules! metrics {
    (counts { $($name:ident: $kind:literal, $help:literal;)* } times { $($time:ident: $about:literal;)* }) => {
        /// What the relay did since it started.
        #[derive(Debug, Default)]
        pub(crate) struct Metrics {
            $(#[doc = $help] pub(crate) $name: Metric,)*
            $(#[doc = $about] pub(crate) $time: Times,)*
        }

        impl Metrics {
            /// All values as Prometheus text.
            pub(crate) fn render(&self) -> String {
                let mut out = String::new();
                $(render_one(&mut out, stringify!($name), $kind, $help, &self.$name);)*
                $(self.$time.render(&mut out, stringify!($time), $about);)*
                out
            }
        }
    };
}

metrics! {
    counts {
        runs: "counter", "Runs of queries of a session, each at one snapshot.";
        runs_failed: "counter", "Runs that came to nothing and were tried again.";
        runs_discarded: "counter", "Runs whose snapshot was too old.";
        executions: "counter", "Executions of query functions, for sessions and over HTTP.";
        results_shared: "counter", "Query results that a session was given from an execution that another one had asked for.";
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
        sessions_refused: "counter", "WebSockets that were closed at once because too many runs waited.";
        sessions: "gauge", "Open WebSocket sessions.";
        subscriptions: "gauge", "Live queries of all sessions.";
        runs_waiting: "gauge", "Runs that wait to be executed; what several sessions wait for counts once.";
        replicas_usable: "gauge", "Replicas that can be reached and are in time.";
        snapshots_held: "gauge", "Snapshots that are held for consistent queries over HTTP.";
        waiting: "gauge", "Transactions that wait for a connection to the database.";
        http_requests: "counter", "HTTP requests, WebSockets' handshakes among them.";
        http_errors: "counter", "HTTP requests that were answered with a status of 500 or more.";
        protocol_errors: "counter", "Sessions that were closed because the client broke the protocol.";
        attached: "gauge", "1 while the control connection is attached, 0 otherwise.";
    }
    times {
        delivery_seconds: "From the news of a commit (an invalidation, or the end of the client's own mutation) to the transition that shows it.";
        mutation_seconds: "Mutations, from their turn to the end of COMMIT, repetitions included.";
        wait_seconds: "How long transactions waited for a connection to the database.";
    }
}

/// Upper bounds of the buckets, in microseconds.
const BUCKETS_US: [u64; 14] = [
    500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000,
];

/// How long something took, as a histogram.
#[derive(Debug, Default)]
pub(crate) struct Times {
    buckets: [Metric; BUCKETS_US.len()],
    count: Metric,
    sum_us: Metric,
}

impl Times {
    pub(crate) fn observe(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let place = BUCKETS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.add(1);
        }
        self.sum_us.add(us);
        self.count.add(1);
    }

    fn render(&self, out: &mut String, name: &str, help: &str) {
        let name = format!("pg_live_{name}");
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
        let mut up_to = 0;
        for (bound, bucket) in BUCKETS_US.iter().zip(&self.buckets) {
            up_to += bucket.get();
            let bound = Duration::from_micros(*bound).as_secs_f64();
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {up_to}");
        }
        let sum = Duration::from_micros(self.sum_us.get()).as_secs_f64();
        let count = self.count.get().max(up_to);
        let _ = writeln!(
            out,
            "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}"
        );
    }
}

/// A counter has so many places: threads that count at the same time do not wait for each other's cache lines.
const PLACES: usize = 8;

thread_local! {
    /// Where this thread counts.
    static PLACE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % PLACES
    };
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Place(AtomicU64);

/// One counter, or one gauge that is counted up and down: the sum of its places.
#[derive(Debug, Default)]
pub(crate) struct Metric([Place; PLACES]);

impl Metric {
    pub(crate) fn add(&self, n: u64) {
        if n > 0 {
            self.place().fetch_add(n, Ordering::Relaxed);
        }
    }

    /// A place may go below zero: the sum wraps back.
    pub(crate) fn subtract(&self, n: u64) {
        self.place().fetch_sub(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        let places = self.0.iter().map(|place| place.0.load(Ordering::Relaxed));
        places.fold(0, u64::wrapping_add)
    }

    /// Of a gauge that is not counted.
    pub(crate) fn set(&self, n: u64) {
        let [first, ..] = &self.0;
        first.0.store(n, Ordering::Relaxed);
    }

    fn place(&self) -> &AtomicU64 {
        let place = PLACE.with(|place| *place);
        &self.0[place].0
    }
}

/// Counts itself as long as it lives.
pub(crate) struct Waiting<'a>(&'a Metric);

impl<'a> Waiting<'a> {
    pub(crate) fn new(gauge: &'a Metric) -> Self {
        gauge.add(1);
        Self(gauge)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.subtract(1);
    }
}

impl Metrics {
    /// Takes over what a session counted.
    pub(crate) fn add_counts(&self, counts: Counts) {
        if counts == Counts::default() {
            return;
        }
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
    let value = metric.get();
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
    fn times_are_counted_in_the_buckets_above_them() {
        let metrics = Metrics::default();
        for ms in [1, 3, 30, 60_000] {
            metrics.delivery_seconds.observe(Duration::from_millis(ms));
        }
        let text = metrics.render();
        for line in [
            "# TYPE pg_live_delivery_seconds histogram",
            "pg_live_delivery_seconds_bucket{le=\"0.0005\"} 0",
            "pg_live_delivery_seconds_bucket{le=\"0.001\"} 1",
            "pg_live_delivery_seconds_bucket{le=\"0.05\"} 3",
            "pg_live_delivery_seconds_bucket{le=\"+Inf\"} 4",
            "pg_live_delivery_seconds_sum 60.034",
            "pg_live_delivery_seconds_count 4",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }

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
