//! Mistakes that can be planted, to see that the simulator notices them.

macro_rules! bugs {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// A planted mistake. Each breaks one rule of the protocol, everything else stays as it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $doc])* $name,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Bug] = &[$(Bug::$name,)*];
        }
    };
}

bugs! {
    /// R1: writers publish after they have become visible.
    LatePublish,
    /// R1: a writer that finds no registration for its rows publishes nothing.
    UnwatchedSkipped,
    /// R1: rows that another callback writes after the publication are not published.
    NoLateCapture,
    /// R1: of a changed row only the new image is published.
    NewImageOnly,
    /// A row that comes or goes is said to have changed in no column.
    ComesUnchanged,
    /// Of the columns that an UPDATE has changed only the first is told.
    FirstChangeOnly,
    /// A column of which nobody has asked the key is told to be NULL.
    UntoldIsNull,
    /// An entry with a condition lacks the column that the condition looks at.
    ConditionUnread,
    /// The interval of a condition ends a value too early.
    IntervalTooShort,
    /// Of a condition that two values fulfil only one is in the read-set.
    OneArmOnly,
    /// R1: a rolled back subtransaction takes what its parent wrote with it.
    SubAbortForgets,
    /// R1: a write-set is published under the id of a subtransaction.
    SubXidPublished,
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
    /// R5: a writer counts as done once its commit was decoded from the WAL.
    ResolveByWal,
    /// R5: a writer is resolved without waiting until the decoder has come to its commit.
    WalNotAwaited,
    /// R5: a decoder announces itself while transactions run that it cannot hand over.
    DecoderTooEarly,
    /// R6: registrations are judged by a snapshot taken when they are processed.
    NoR6,
    /// R6: only xmax decides what a snapshot sees.
    IgnoreXip,
    /// R6: only xmin decides what a snapshot sees.
    XminOnly,
    /// R6: unresolved writers are dropped when there are many.
    DropUnresolved,
    /// R6: what was dropped from the history is not remembered: the log has wrapped before a slow registration.
    DroppedForgotten,
    /// F2: ids of transactions are compared by their 32 bits.
    ShortIds,
    /// F2: ids of a snapshot are taken to be of the epoch in which they are widened.
    EpochOfNow,
    /// R8: the relay goes on after a new boot as if nothing had happened.
    BootIgnored,
    /// R8: the relay does not notice that batches are missing.
    GapIgnored,
    /// R8: the relay asks for new registrations before it has a new owner.
    RegisterBeforeAttach,
    /// R8: a relay attaches again under the number that it had.
    OwnerReused,
    /// R8: the relay trusts hints alone and never asks by itself.
    NoPoll,
    /// R8: the relay believes the batch number that a hint names.
    HintTrusted,
    /// R10: a result is kept while writers that the snapshot sees are unresolved.
    KeptWithoutU,
    /// R10: a result is kept before the log was worked off as far as the snapshot sees.
    KeptBehind,
    /// R10: a result is kept before the batches that the record names were received.
    KeptBeforeBatch,
    /// R10: a result is kept before its registration was worked off.
    KeptUnregistered,
    /// R11: each query of a run has its own snapshot.
    SnapshotPerQuery,
    /// R11: what a run needs besides is executed at another snapshot.
    ExtendedElsewhere,
    /// R10: what is known of stale results is told after a release.
    NewsAfterRelease,
    /// R10: a run that is answered at once with a release overtakes what its session was told before.
    ServedOvertakes,
    /// A session that is given a result gives it back while it shows it.
    NewHoldReleased,
    /// R9: that a result is out of date is told of the run that it was kept under, not of that which shows it.
    RunOfTheHold,
    /// R16: each statement of a query has its own snapshot.
    SnapshotPerRead,
    /// R9, R12: a run reports the completion count of its end, not of its snapshot.
    CountOfNow,
    /// R12, R13: a moment carries the boot that is in force when it is reported.
    BootOfNow,
    /// R6: a result that found no room in the log is said to be registered.
    ClaimsRegistered,
    /// R13: a mutation reports a completion count from before it became visible.
    EarlyMutationCount,
    /// R13: the relay does not heed the timestamp that a client has seen.
    ObservedIgnored,
    /// R13: a transition leaves before the answer to a mutation that it sees.
    TransitionOvertakes,
    /// R14: the outcome of a mutation is not stored.
    OutcomeNotStored,
    /// R17: results are not checked for redefinitions.
    NoR17,
    /// R17: the check is made before the query reads, not after.
    R17First,
    /// R17: redefinitions are made known after they have become visible.
    R17Late,
    /// R17: what was prepared before a restart of the server is forgotten.
    R17Recovery,
    /// R18: a result over a table without triggers is registered like any other.
    UncapturedAccepted,
    /// R18: a table counts as captured if it is so when the result is registered.
    CapturedNow,
    /// R18: triggers are added while writers run.
    CaptureWithoutLock,
    /// R19: the deployment is not in read-sets.
    DeploymentUnread,
    /// R19: a query runs the code of now, not that of its snapshot.
    DeploymentOfNow,
    /// Standby: its snapshot is read where a primary keeps the running ids.
    StandbyXip,
    /// Standby: the snapshot is taken without waiting for the replay.
    StandbyNoWait,
    /// Standby: the completion count of the primary is read after the snapshot was taken.
    StandbyCountLast,
    /// Standby: the position in WAL is read before the completion count.
    StandbyLsnFirst,
    /// Standby: the primary is asked whether a redefinition has committed.
    StandbyR17,
}
