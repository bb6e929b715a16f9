//! The open sessions, by number.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pg_live_session::Event;
use tokio::sync::mpsc::UnboundedSender;

use super::sharing::News;

/// All open sessions of this relay.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    last: u32,
    open: HashMap<u32, UnboundedSender<News>>,
}

impl Sessions {
    /// Gives a session its number; from now on events reach it.
    pub(crate) fn open(&self, events: UnboundedSender<News>) -> u32 {
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

    /// Hands an event to every session.
    pub(crate) fn send_all(&self, event: &Event) {
        for events in self.lock().open.values() {
            // One that has just ended needs it no more.
            let _ = events.send(News::Event(Box::new(event.clone())));
        }
    }

    /// Tells every session that the relay drains. Those that are opened later see it by themselves.
    pub(crate) fn drain(&self) {
        for events in self.lock().open.values() {
            let _ = events.send(News::Drains);
        }
    }

    /// Tells those that are left that it stops.
    pub(crate) fn stop(&self) {
        for events in self.lock().open.values() {
            let _ = events.send(News::Stops);
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
    fn open_sessions_are_told() {
        let sessions = Sessions::default();
        let (events, mut received) = unbounded_channel();
        let first = sessions.open(events.clone());
        let second = sessions.open(events);
        assert_ne!(first, second);
        sessions.close(second);
        sessions.send_all(&Event::Timer);
        let Ok(News::Event(event)) = received.try_recv() else {
            panic!("nothing was told");
        };
        assert!(matches!(*event, Event::Timer));
        assert!(received.try_recv().is_err());
    }
}
