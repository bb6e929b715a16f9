//! Which interesting states the seeds have reached: what was never there was not tested.

macro_rules! states {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// An interesting state.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum State {
            $($(#[doc = $doc])* $name,)*
        }

        impl State {
            /// All of them.
            pub const ALL: &'static [State] = &[$(State::$name,)*];
        }
    };
}

states! {
    /// A result was registered after something that it does not see had become visible.
    LateRegistration,
    /// A registration was processed while a published writer was in clog, and still invisible.
    RegisteredWhileInClog,
    /// A write to a table did not touch a result that depends on other rows or columns of it.
    Spared,
    /// A result was given to several sessions.
    Shared,
    /// A run waited for an execution that was waited for or under way.
    Joined,
    /// A run was answered with results that were there.
    Served,
    /// A run was answered with the result that had been kept for its session.
    ServedKept,
    /// A query was executed before its sessions were told that their results are out of date.
    Ahead,
    /// The next result was kept for a session that was told.
    KeptAhead,
    /// A run got more at its snapshot.
    Extended,
    /// A batch failed and went on without some of its queries.
    Split,
    /// A writer that was published before it committed was undecided when the worker died.
    WorkerDiedBeforeVisible,
    /// The worker began a boot with prepared transactions.
    PreparedAtBoot,
    /// A transaction that was prepared before a crash of the server committed after it.
    PreparedOverCrash,
    /// The log had no room for a writer.
    Overflow,
    /// The history no longer reached back to some snapshot.
    HistoryDropped,
    /// The server crashed.
    Crash,
    /// A relay died.
    RelayDeath,
    /// The worker began again.
    Boot,
    /// A relay found that batches were missing, or the boot another one.
    Gap,
    /// A hint came that nobody had sent.
    ForgedHint,
    /// Ids of transactions passed 2^32.
    Wrap,
    /// A transaction committed of which a subtransaction had been rolled back.
    Savepoint,
    /// A writer wrote after its publication.
    LateCapture,
    /// A redefinition committed.
    Redefinition,
    /// A result was discarded because of one (R17).
    RedefinitionConflict,
    /// A redefinition that was prepared before a crash committed after it.
    RedefinitionOverCrash,
    /// A query read a table that was not captured at its snapshot (R18).
    Uncaptured,
    /// A table got its triggers.
    Captured,
    /// Another deployment came into force.
    Deployment,
    /// A mutation was answered with the outcome that was stored when it was first sent (R14).
    StoredOutcome,
    /// The decoder handed over what a transaction had written.
    Decoded,
    /// A writer was visible, and its rows had not been handed over.
    AwaitsDecoder,
    /// The decoder ended while writers waited for it.
    DecoderDied,
    /// A client came back with a timestamp beyond the clock of its new connection (R13).
    ClockBehindClient,
    /// A snapshot of the standby saw what was still invisible on the primary (F6).
    StandbyAhead,
    /// A run waited until the standby had caught up.
    StandbyWaited,
    /// A client came back to a relay that reads from another node.
    NodeChanged,
    /// A result was shown unregistered and run again.
    Unregistered,
}

/// How often each state was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coverage([u64; State::ALL.len()]);

impl Default for Coverage {
    fn default() -> Self {
        Coverage([0; State::ALL.len()])
    }
}

impl Coverage {
    pub(crate) fn reach(&mut self, state: State) {
        self.0[state as usize] += 1;
    }

    /// How often the state was reached.
    pub fn count(&self, state: State) -> u64 {
        self.0[state as usize]
    }

    /// Adds what another run has reached.
    pub fn add(&mut self, other: &Coverage) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}
