//! Where a session is told things, in order, and where it takes them in.
//!
//! Each session has a task of its own, which drives it. Who has told many sessions something goes round and has them take
//! it in one after the other: that costs less than a wake-up of every task. A session whose task is at it anyway, or that is
//! left with something to wait for, is left to its task.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};

use pg_live_session::Event;
use pg_live_session::sharing::{Asker, OutOfDate, Told};
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::nodes::Seat;
use super::transaction::Open;
use super::ws::Client;

/// For fewer it is not worth a visit: their tasks are woken.
const MANY: usize = 8;
/// So many sessions are visited in one go; other tasks are not kept waiting for longer.
pub(crate) const ROUND: usize = 64;

/// Something that a session is told. Small: each session has room for some of them.
pub(crate) enum News {
    OutOfDate(OutOfDate),
    Event(Box<Event>),
    /// The relay is about to stop: sessions leave one after the other.
    Drains,
    /// It stops: what is under way is given up next, and no client is to be told of that.
    Stops,
    /// Of its run. The snapshot is held until the session has taken it in, if it keeps results (R11).
    Run(Box<(Told<Waiter>, Option<Arc<Open>>)>),
}

/// The way to a session.
#[derive(Clone)]
pub(crate) struct Waiter(pub(crate) Arc<Desk>);

impl Asker for Waiter {
    fn is_gone(&self) -> bool {
        self.0.gone.load(Ordering::Relaxed)
    }
}

/// The place of one session.
#[derive(Default)]
pub(crate) struct Desk {
    /// Where its runs are executed.
    pub(crate) seat: Arc<Seat>,
    /// Its socket is gone: what has not begun need not begin.
    gone: AtomicBool,
    inbox: Mutex<Inbox>,
    client: Mutex<Option<Client>>,
}

#[derive(Default)]
struct Inbox {
    news: VecDeque<News>,
    /// Of the session's task.
    waker: Option<Waker>,
    closed: bool,
}

impl Inbox {
    /// The session's task is to look.
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

impl Desk {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn leave(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Tells the session something. It comes back from a session that is over.
    pub(crate) fn tell(&self, news: News) -> Result<(), News> {
        self.put(news)?.wake();
        Ok(())
    }

    /// The same, but who tells it has the session [visited](visit_all) then.
    pub(crate) fn tell_before_visit(&self, news: News) -> Result<(), News> {
        self.put(news).map(drop)
    }

    fn put(&self, news: News) -> Result<MutexGuard<'_, Inbox>, News> {
        let mut inbox = self.inbox();
        if inbox.closed {
            return Err(news);
        }
        inbox.news.push_back(news);
        Ok(inbox)
    }

    /// The next that the session has been told and not taken in.
    pub(super) fn next_news(&self) -> Option<News> {
        self.inbox().news.pop_front()
    }

    pub(super) fn has_news(&self) -> bool {
        !self.inbox().news.is_empty()
    }

    /// Whoever calls this is woken when something is told from now on.
    fn listen(&self, waker: &Waker) {
        let mut inbox = self.inbox();
        if !inbox.waker.as_ref().is_some_and(|it| it.will_wake(waker)) {
            inbox.waker = Some(waker.clone());
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.listen(cx.waker());
        match self.client.lock().as_deref_mut() {
            Ok(Some(client)) => client.poll(cx),
            Ok(None) | Err(_) => Poll::Ready(()),
        }
    }

    /// Has the session take in what it was told, unless its task is at it.
    fn visit(&self, now: Instant) {
        let is_left_with_more = match self.client.try_lock().as_deref_mut() {
            Ok(Some(client)) => client.attend(now),
            Ok(None) => false,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => true,
        };
        if is_left_with_more {
            self.inbox().wake();
        }
    }

    /// The session is over, or its task is given up.
    fn vacate(&self) {
        let news = {
            let mut inbox = self.inbox();
            inbox.closed = true;
            inbox.waker = None;
            std::mem::take(&mut inbox.news)
        };
        let client = self
            .client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(client) = client {
            client.end(news);
        }
    }
}

/// Drives a session to its end.
pub(super) async fn occupy(desk: Arc<Desk>, client: Client) {
    struct Occupied(Arc<Desk>);
    impl Drop for Occupied {
        fn drop(&mut self) {
            self.0.vacate();
        }
    }
    *desk.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
    let occupied = Occupied(desk);
    poll_fn(|cx| occupied.0.poll(cx)).await;
}

/// Has sessions that were told something take it in, soon.
pub(crate) fn visit_all(mut desks: Vec<Arc<Desk>>) {
    if desks.len() < MANY {
        return desks.iter().for_each(|desk| desk.inbox().wake());
    }
    while !desks.is_empty() {
        let rest = desks.split_off(desks.len().min(ROUND));
        let round = Round(std::mem::replace(&mut desks, rest));
        // Writing to a socket does not count as work of the task that goes round.
        tokio::spawn(unconstrained(async move { round.go() }));
    }
}

/// Sessions to be visited. If one panics it and all that follow are woken.
struct Round(Vec<Arc<Desk>>);

impl Round {
    fn go(mut self) {
        let now = Instant::now();
        while let Some(desk) = self.0.last() {
            desk.visit(now);
            self.0.pop();
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        for desk in &self.0 {
            desk.inbox().wake();
        }
    }
}
