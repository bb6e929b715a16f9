//! How often the same is executed: a query that is never up to date for long is run at a bounded rate.

use crate::Millis;

/// A result that was invalidated within this time is one of a query that is written all the time.
const SHORT: Millis = 20;
/// So many of them in a row, and the query is executed at a bounded rate.
const PATIENT: u32 = 64;
/// Between the beginnings of two executions of such a query pass so many times what one takes ...
const TIMES: Millis = 8;
/// ... but no less, and no more than this.
const SLOW: std::ops::RangeInclusive<Millis> = 4..=20;
/// How long the past is remembered.
const MEMORY: Millis = 10_000;

/// The past executions of some questions.
#[derive(Debug, Default)]
pub(super) struct Pace {
    begun: Millis,
    done: Millis,
    /// Results in a row that held for a short time only.
    short_lived: u32,
    /// The last result was out of date before it was there.
    was_late: bool,
}

impl Pace {
    /// An execution has begun.
    pub(super) fn begin(&mut self, now: Millis) {
        self.begun = now;
        self.was_late = false;
    }

    /// Its result is there.
    pub(super) fn end(&mut self, now: Millis) {
        self.done = now;
    }

    /// The result is out of date. An earlier one than [`Pace::end`] of it was too late.
    pub(super) fn invalidated(&mut self, now: Millis, was_late: bool) {
        self.was_late |= was_late;
        if now < self.done + SHORT || was_late {
            self.short_lived = self.short_lived.saturating_add(1);
        } else {
            self.short_lived = 0;
        }
    }

    /// When the next execution may begin. What cannot keep up with its writers gets half of a connection's time.
    pub(super) fn earliest(&self) -> Millis {
        let breath = if self.was_late {
            self.done + self.done.saturating_sub(self.begun)
        } else {
            0
        };
        let slow = if self.short_lived >= PATIENT {
            let took = self.done.saturating_sub(self.begun);
            self.begun + (TIMES * took).clamp(*SLOW.start(), *SLOW.end())
        } else {
            0
        };
        breath.max(slow)
    }

    /// Whether the past still matters.
    pub(super) fn counts(&self, now: Millis) -> bool {
        now < self.done.max(self.begun) + MEMORY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_always_out_of_date_is_slowed_down() {
        let mut pace = Pace::default();
        let mut now = 1_000;
        for _ in 0..PATIENT {
            assert!(pace.earliest() <= now);
            pace.begin(now);
            pace.end(now + 1);
            pace.invalidated(now + 3, false);
            now += 4;
        }
        assert_eq!(pace.earliest(), now - 4 + TIMES);
        for (took, slow) in [(0, 4), (2, 16), (9, 20)] {
            pace.begin(now);
            pace.end(now + took);
            assert_eq!(pace.earliest(), now + slow);
        }
        pace.begin(now);
        pace.end(now + 1);
        pace.invalidated(now + 1 + SHORT, false);
        assert!(pace.earliest() <= now);
    }

    #[test]
    fn what_cannot_keep_up_gets_half_of_the_time() {
        let mut pace = Pace::default();
        pace.begin(1_000);
        pace.invalidated(1_100, true);
        pace.end(1_300);
        assert_eq!(pace.earliest(), 1_600);
    }
}
