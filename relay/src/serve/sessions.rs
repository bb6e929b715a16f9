//! The open sessions, by number.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pg_live_session::Event;

use super::desk::{Desk, News};

/// All open sessions of this relay.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    last: u32,
    open: HashMap<u32, Arc<Desk>>,
}

impl Sessions {
    /// Gives a session its number; from now on events reach it.
    pub(crate) fn open(&self, desk: Arc<Desk>) -> u32 {
        let mut table = self.lock();
        loop {
            table.last = (table.last + 1) & i32::MAX.cast_unsigned();
            let number = table.last;
            if let Entry::Vacant(place) = table.open.entry(number) {
                place.insert(desk);
                return number;
            }
        }
    }

    pub(crate) fn close(&self, number: u32) {
        self.lock().open.remove(&number);
    }

    /// Hands an event to every session.
    pub(crate) fn send_all(&self, event: &Event) {
        self.tell_all(|| News::Event(Box::new(event.clone())));
    }

    /// Tells every session that the relay drains. Those that are opened later see it by themselves.
    pub(crate) fn drain(&self) {
        self.tell_all(|| News::Drains);
    }

    /// Tells those that are left that it stops.
    pub(crate) fn stop(&self) {
        self.tell_all(|| News::Stops);
    }

    fn tell_all(&self, news: impl Fn() -> News) {
        for desk in self.lock().open.values() {
            // One that has just ended needs it no more.
            let _ = desk.tell(news());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_sessions_are_told() {
        let sessions = Sessions::default();
        let desks = [Arc::new(Desk::default()), Arc::default()];
        let [first, second] = desks.each_ref().map(|desk| sessions.open(Arc::clone(desk)));
        assert_ne!(first, second);
        sessions.close(second);
        sessions.send_all(&Event::Timer);
        let Some(News::Event(event)) = desks[0].next_news() else {
            panic!("nothing was told");
        };
        assert!(matches!(*event, Event::Timer));
        assert!(desks.iter().all(|desk| !desk.has_news()));
    }
}
