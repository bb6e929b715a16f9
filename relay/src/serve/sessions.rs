//! The open sessions, by number, so that invalidations find them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pg_live_session::{Event, Sub};
use tokio::sync::mpsc::UnboundedSender;

/// All open sessions of this relay.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    last: u32,
    open: HashMap<u32, UnboundedSender<Event>>,
}

impl Sessions {
    /// Gives a session its number; from now on events reach it.
    pub(crate) fn open(&self, events: UnboundedSender<Event>) -> u32 {
        let mut table = self.lock();
        loop {
            table.last = (table.last + 1) & i32::MAX.cast_unsigned();
            let number = table.last;
            if let Entry::Vacant(place) = table.open.entry(number) {
                place.insert(events);
                return number;
            }
        }
    }

    pub(crate) fn close(&self, number: u32) {
        self.lock().open.remove(&number);
    }

    /// Hands an event to the session of a sub; its number is in the sub's upper half. False if it
    /// has gone.
    pub(crate) fn send(&self, sub: Sub, event: Event) -> bool {
        let Ok(number) = u32::try_from(sub >> 32) else {
            return false;
        };
        let table = self.lock();
        table
            .open
            .get(&number)
            .is_some_and(|events| events.send(event).is_ok())
    }

    /// Hands an event to every session.
    pub(crate) fn send_all(&self, event: &Event) {
        for events in self.lock().open.values() {
            // One that has just ended needs it no more.
            let _ = events.send(event.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    #[test]
    fn events_reach_the_session_of_their_sub() {
        let sessions = Sessions::default();
        let (events, mut received) = unbounded_channel();
        let first = sessions.open(events.clone());
        let second = sessions.open(events);
        assert_ne!(first, second);
        assert!(sessions.send((Sub::from(second) << 32) + 5, Event::Timer));
        assert!(matches!(received.try_recv(), Ok(Event::Timer)));
        sessions.close(second);
        assert!(!sessions.send(Sub::from(second) << 32, Event::Timer));
        assert!(!sessions.send(-1, Event::Timer));
    }
}
