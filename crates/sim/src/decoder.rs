//! The decoder: a process that reads the WAL and hands over what was written (R5, F5).

use std::collections::BTreeSet;

use pg_live_invalidation::{LogEntry, Xid};

use crate::bug::Bug;
use crate::columns::Watched;
use crate::database::{Database, Done, Record};
use crate::history::Change;
use crate::query::{Images, write_set};

/// A decoder at work. Places in the WAL are numbers of records; a record ends where the next begins.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(crate) run: u64,
    /// What was running at its start: it cannot hand over the rows of these, and so waits for their
    /// ends before it announces itself (F4).
    unreadable: BTreeSet<Xid>,
    /// The next record, once it has announced itself.
    at: Option<usize>,
}

impl Decoder {
    pub(crate) fn start(run: u64, db: &Database) -> Self {
        let running = db.live.keys().copied();
        Decoder {
            run,
            unreadable: running.collect(),
            at: None,
        }
    }

    /// What it would put into the log next, if anything.
    pub(crate) fn entry(&self, db: &Database, watched: &Watched) -> Option<LogEntry> {
        let Some(at) = self.at else {
            let mut running = self.unreadable.iter();
            let waits = running.any(|xid| db.live.contains_key(xid))
                && db.bug != Some(Bug::DecoderTooEarly);
            let lsn = db.wal.len() as u64;
            let run = self.run;
            return (!waits).then_some(LogEntry::DecoderReady { run, lsn });
        };
        let record = db.wal.get(at)?;
        let lsn = at as u64 + 1;
        let readable = !self.unreadable.contains(&record.xid);
        Some(
            match decoded(record, watched, db.bug).filter(|_| readable) {
                Some(set) => LogEntry::Decoded {
                    xid: record.xid,
                    lsn,
                    set,
                },
                None => LogEntry::DecodedTo { lsn },
            },
        )
    }

    /// The entry is in the log.
    pub(crate) fn advance(&mut self, db: &Database) {
        self.at = Some(self.at.map_or(db.wal.len(), |at| at + 1));
    }
}

/// The rows of a transaction that left them in the WAL.
fn decoded(
    record: &Record,
    watched: &Watched,
    bug: Option<Bug>,
) -> Option<pg_live_readset::WriteSet> {
    let (changes, _) = record.committed.as_ref().filter(|_| record.in_wal)?;
    let rows = changes.iter().filter(|c| matches!(c, Change::Row { .. }));
    let rows: Vec<Done> = rows
        .map(|change| Done {
            change: *change,
            captured: true,
            undone: false,
        })
        .collect();
    Some(write_set(&rows, Images::Both, watched, bug))
}
