//! Whether a client is still there: one from which nothing comes is asked, and given up if it does not answer.
//!
//! Clients that only listen say nothing by themselves, however much is sent to them.

use std::time::Duration;

use tokio::time::Instant;

/// A client that said nothing for so long is asked, by a ping of the WebSocket layer.
const ASK_AFTER: Duration = Duration::from_secs(60);
/// It has so long to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// What is known of a client's silence.
#[derive(Debug)]
pub(super) struct Silence {
    heard: Instant,
    asked: Option<Instant>,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wait,
    Ask,
    Gone,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            heard: now,
            asked: None,
        }
    }

    /// Something has come, or the client was not listened to until now.
    pub(super) fn end(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// When [`Silence::judge`] is to be called, if nothing comes before.
    pub(super) fn deadline(&self) -> Instant {
        match self.asked {
            Some(asked) => asked + ANSWER_PATIENCE,
            None => self.heard + ASK_AFTER,
        }
    }

    /// [`Verdict::Ask`] is given once in a silence.
    pub(super) fn judge(&mut self, now: Instant) -> Verdict {
        if now < self.deadline() {
            return Verdict::Wait;
        }
        if self.asked.is_some() {
            return Verdict::Gone;
        }
        self.asked = Some(now);
        Verdict::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_client_is_asked_before_it_is_given_up() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        assert_eq!(silence.judge(start + ASK_AFTER / 2), Verdict::Wait);
        assert_eq!(silence.judge(start + ASK_AFTER), Verdict::Ask);
        let asked = start + ASK_AFTER;
        assert_eq!(silence.judge(asked), Verdict::Wait);
        assert_eq!(silence.deadline(), asked + ANSWER_PATIENCE);
        assert_eq!(silence.judge(asked + ANSWER_PATIENCE), Verdict::Gone);
    }

    #[test]
    fn an_answer_begins_anew() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        assert_eq!(silence.judge(start + ASK_AFTER), Verdict::Ask);
        let answered = start + ASK_AFTER + ANSWER_PATIENCE / 2;
        silence.end(answered);
        assert_eq!(
            silence.judge(start + ASK_AFTER + ANSWER_PATIENCE),
            Verdict::Wait
        );
        assert_eq!(silence.deadline(), answered + ASK_AFTER);
    }

    #[test]
    fn one_that_was_looked_at_late_is_asked_all_the_same() {
        let start = Instant::now();
        let mut silence = Silence::new(start);
        let late = start + 10 * ASK_AFTER;
        assert_eq!(silence.judge(late), Verdict::Ask);
        assert_eq!(silence.judge(late), Verdict::Wait);
    }
}
