//! How rough a simulated world is.

use pg_live_invalidation::{Limits, Xid};
use rand::Rng;
use rand::rngs::StdRng;

use crate::history::Pk;

/// Sizes and probabilities of one run.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) steps: u32,
    pub(crate) clients: usize,
    pub(crate) relays: usize,
    /// Whether the last relay reads from a standby.
    pub(crate) standby: bool,
    /// The first id of a transaction.
    pub(crate) first_xid: Xid,
    pub(crate) pks: Pk,
    pub(crate) ring: usize,
    pub(crate) limits: Limits,
    /// How many batches of an owner the server holds.
    pub(crate) keep: usize,
    pub(crate) hint_loss: f64,
    /// How often a hint comes that nobody has sent.
    pub(crate) forgery: f64,
    /// For so many sessions a query is executed before they are told that their results are out of date.
    pub(crate) crowd: usize,
    /// How often a client asks for what somebody asks for already.
    pub(crate) alike: f64,
    /// In each step of a run.
    pub(crate) run_failure: f64,
    /// In each step of a mutation.
    pub(crate) mutation_failure: f64,
    /// The share of mutations in what clients do; each shows its client everything anew.
    pub(crate) mutations: u32,
    /// In each step: the worker dies.
    pub(crate) worker_death: f64,
    /// In each step: the server crashes.
    pub(crate) crash: f64,
    /// In each step: the control connection is lost.
    pub(crate) control_loss: f64,
    /// In each step: the relay dies.
    pub(crate) relay_death: f64,
    /// In each step: a client loses its connection.
    pub(crate) client_loss: f64,
    pub(crate) doomed: f64,
    pub(crate) two_phase: f64,
    /// How often a transaction in clog stays invisible when its turn comes: it waits for a synchronous standby.
    pub(crate) sync_wait: f64,
    /// The share of transactions that leave their rows in the WAL.
    pub(crate) wal: f64,
    /// In each step: the decoder dies.
    pub(crate) decoder_death: f64,
    /// The share of redefinitions in what transactions do.
    pub(crate) redefinitions: f64,
    /// The share of writes to the table that is not captured at first.
    pub(crate) plain: f64,
    /// The share of the steps that the worker gets; a small one lets the log grow.
    pub(crate) worker_share: u32,
    /// Likewise for connections and messages.
    pub(crate) relay_share: u32,
}

impl Faults {
    /// A world for a seed: some are calm, some are not.
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        let calm = rng.random_bool(0.3);
        let mut rate = |most: f64| {
            let rough = !calm && rng.random_bool(0.5);
            if rough {
                rng.random::<f64>() * most
            } else {
                0.0
            }
        };
        let (hint_loss, run_failure, mutation_failure) = (rate(0.9), rate(0.05), rate(0.1));
        let (worker_death, crash) = (rate(0.01), rate(0.01));
        let (control_loss, relay_death, client_loss) = (rate(0.01), rate(0.005), rate(0.01));
        let (forgery, decoder_death) = (rate(0.2), rate(0.02));
        let limits = Limits {
            log_entries: *pick(rng, &[0, 1, 3, 10, 1000]),
            unresolved_bytes: *pick(rng, &[200, 1 << 20]),
            ..Limits::default()
        };
        Faults {
            steps: rng.random_range(200..900),
            clients: rng.random_range(1..=3),
            relays: *pick(rng, &[1, 1, 2]),
            standby: rng.random_bool(0.3),
            // Low halves of 64-bit ids that soon wrap, or do not.
            first_xid: match rng.random_range(0..4) {
                0 => (1 << 32) - rng.random_range(3..60),
                1 => (7 << 32) - rng.random_range(3..60),
                _ => 1000,
            },
            pks: rng.random_range(2..=6),
            ring: *pick(rng, &[3, 8, 20, 200]),
            limits,
            keep: *pick(rng, &[1, 1, 3, 1000]),
            hint_loss,
            forgery,
            run_failure,
            mutation_failure,
            mutations: *pick(rng, &[0, 1, 6]),
            worker_death,
            crash,
            control_loss,
            relay_death,
            client_loss,
            doomed: rng.random::<f64>() * 0.4,
            two_phase: rng.random::<f64>() * 0.4,
            crowd: *pick(rng, &[1, 2, 16]),
            alike: *pick(rng, &[0.0, 0.5, 0.9]),
            sync_wait: *pick(rng, &[0.0, 0.0, 0.9]),
            wal: *pick(rng, &[0.0, 0.0, 0.5, 1.0]),
            decoder_death,
            redefinitions: *pick(rng, &[0.0, 0.05, 0.3]),
            plain: *pick(rng, &[0.0, 0.0, 0.3]),
            worker_share: rng.random_range(2..=8),
            relay_share: rng.random_range(4..=16),
        }
    }

    /// The same world with nothing going wrong any more.
    pub(crate) fn calmed(&self) -> Self {
        Faults {
            hint_loss: 0.0,
            forgery: 0.0,
            run_failure: 0.0,
            mutation_failure: 0.0,
            ..self.clone()
        }
    }
}

/// One of them.
pub(crate) fn pick<'a, T>(rng: &mut StdRng, of: &'a [T]) -> &'a T {
    &of[rng.random_range(0..of.len())]
}
