//! Mistakes that can be planted, to see that the simulator notices them.

/// A planted mistake. Each breaks one rule of the protocol, everything else stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// R1: writers publish after they have become visible.
    LatePublish,
    /// R1: a writer that finds no registration for its rows publishes nothing.
    UnwatchedSkipped,
    /// R1: rows that another callback writes after the publication are not published.
    NoLateCapture,
    /// R1: of a changed row only the new image is published.
    NewImageOnly,
    /// R3: a writer that finds the log full commits without a sign.
    OverflowIgnored,
    /// R0: what runs at the boot is not listed.
    RunningNotListed,
    /// R0: what is prepared at the boot is not listed.
    PreparedNotListed,
    /// R0: snapshots from before the boot are accepted.
    NoC0Check,
    /// R5: a writer counts as done once it is in clog.
    ResolveByClog,
    /// R5: a prepared transaction does not count as in progress.
    PreparedNotInProgress,
    /// R6: registrations are judged by a snapshot taken when they are processed.
    NoR6,
    /// R6: only xmax decides what a snapshot sees.
    IgnoreXip,
    /// R6: only xmin decides what a snapshot sees.
    XminOnly,
    /// R6: unresolved writers are dropped when there are many.
    DropUnresolved,
    /// R8: the relay goes on after a new boot as if nothing had happened.
    BootIgnored,
    /// R8: the relay does not notice that batches are missing.
    GapIgnored,
    /// R8: the relay asks for new registrations before it has a new owner.
    RegisterBeforeAttach,
    /// R8: a relay attaches again under the number that it had.
    OwnerReused,
    /// The relay trusts hints alone and never asks by itself.
    NoPoll,
    /// R11: each query of a run has its own snapshot.
    SnapshotPerQuery,
    /// R9, R12: a run reports the completion count of its end, not of its snapshot.
    CountOfNow,
    /// R12, R13: a moment carries the boot that is in force when it is reported.
    BootOfNow,
    /// A result that found no room in the log is said to be registered.
    ClaimsRegistered,
    /// R13: a mutation reports a completion count from before it became visible.
    EarlyMutationCount,
    /// R14: the outcome of a mutation is not stored.
    OutcomeNotStored,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 25] = [
        Bug::LatePublish,
        Bug::UnwatchedSkipped,
        Bug::NoLateCapture,
        Bug::NewImageOnly,
        Bug::OverflowIgnored,
        Bug::RunningNotListed,
        Bug::PreparedNotListed,
        Bug::NoC0Check,
        Bug::ResolveByClog,
        Bug::PreparedNotInProgress,
        Bug::NoR6,
        Bug::IgnoreXip,
        Bug::XminOnly,
        Bug::DropUnresolved,
        Bug::BootIgnored,
        Bug::GapIgnored,
        Bug::RegisterBeforeAttach,
        Bug::OwnerReused,
        Bug::NoPoll,
        Bug::SnapshotPerQuery,
        Bug::CountOfNow,
        Bug::BootOfNow,
        Bug::ClaimsRegistered,
        Bug::EarlyMutationCount,
        Bug::OutcomeNotStored,
    ];
}
