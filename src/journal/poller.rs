//! Has what is polled run again: at each interval that a live query depends on, a transaction that counts as a write
//! to it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pg_live_readset::RelId;

use crate::capture;
use crate::error::Result;
use crate::pg::shmem::Slot;
use crate::pg::spi::{self, Access};
use crate::pg::worker;
use crate::reads::INTERVALS;

/// After a failure, and how long what was read of the table counts.
const RETRY: Duration = Duration::from_secs(1);

/// When each interval was over last.
#[derive(Default)]
pub(super) struct Poller {
    last: BTreeMap<RelId, Instant>,
    /// The intervals, as they were read last.
    known: Option<(Instant, Vec<(RelId, Duration)>)>,
}

impl Poller {
    /// Ends the intervals that are over. Returns when to come again, if any is watched.
    pub(super) fn serve(&mut self, slot: &Slot) -> Option<Duration> {
        let watched: Vec<RelId> = INTERVALS
            .filter(|rel| slot.watched().contains(*rel))
            .collect();
        self.last.retain(|rel, _| watched.contains(rel));
        if watched.is_empty() {
            return None;
        }
        let now = Instant::now();
        let mut next: Option<Duration> = None;
        let is_fresh = |at: &Instant| now.duration_since(*at) < RETRY;
        if self.known.as_ref().is_none_or(|(at, _)| !is_fresh(at)) {
            match intervals() {
                Ok(intervals) => self.known = Some((now, intervals)),
                Err(message) => {
                    pgrx::log!(
                        "pg_live could not read live.intervals and will try again: {message}"
                    );
                    return Some(RETRY);
                }
            }
        }
        let intervals = self.known.iter().flat_map(|(_, intervals)| intervals);
        for (rel, every) in intervals.copied() {
            if !watched.contains(&rel) {
                continue;
            }
            let last = *self.last.entry(rel).or_insert(now);
            let mut left = every.saturating_sub(now.duration_since(last));
            if left.is_zero() {
                self.last.insert(rel, now);
                left = match worker::transaction(|| capture::tick(rel)) {
                    Ok(()) => every,
                    Err(message) => {
                        pgrx::log!("pg_live could not end interval {rel}: {message}");
                        RETRY
                    }
                };
            }
            next = Some(next.map_or(left, |next| next.min(left)));
        }
        next
    }
}

fn intervals() -> std::result::Result<Vec<(RelId, Duration)>, String> {
    worker::transaction(|| {
        if worker::extension() == 0 {
            return Ok(Vec::new());
        }
        spi::query(
            "SELECT i.number, pg_catalog.date_part('epoch', i.every) FROM live.intervals AS i",
            &[],
            Access::Write,
            |row| {
                let number: i32 = row.need(0)?;
                let seconds: f64 = row.need(1)?;
                let every = Duration::try_from_secs_f64(seconds).unwrap_or(RETRY);
                Ok((RelId::try_from(number).unwrap_or(0), every))
            },
        )
    })
    .and_then(|done: Result<Vec<(RelId, Duration)>>| done.map_err(|error| error.to_string()))
}
