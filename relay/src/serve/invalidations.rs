//! The control connection: attaches this relay as an owner of registrations, fetches its
//! invalidations, and says when some may have been lost (R8).

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use pg_live_session::{Event, Moment, Sub};
use rand::Rng;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Row, Statement};
use tracing::{debug, info, warn};

use super::Relay;
use super::database::{sql, unsigned};
use super::pool::backoff;
use super::sharing;
use super::sql_error::describe;

/// Between two calls of `live.next` without a hint: a hint may be lost or forged.
const NET: Duration = Duration::from_secs(5);
/// A control connection that does not answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// A batch that is there to be fetched is here within this time, or results are not kept.
const RECEIPT_PATIENCE: Duration = Duration::from_millis(100);
/// Between two attempts to attach while the invalidator starts.
const ATTACH_PAUSE: Duration = Duration::from_millis(200);
const CHANNEL: &str = "pg_live";

/// The rest of the relay's view of the control connection.
pub(crate) struct Control {
    owner: watch::Sender<Option<i64>>,
    received: watch::Sender<Received>,
    /// Asks for a fetch without a hint.
    nudge: Notify,
    last: std::sync::Mutex<Option<Attachment>>,
    unregister: mpsc::UnboundedSender<Vec<Sub>>,
}

/// What the relay was attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attachment {
    boot: u64,
    /// System and timeline.
    history: (i64, i64),
}

impl Attachment {
    /// Whether moments after this attachment can be told from those before it. Boots are numbered in the
    /// database; a standby that was promoted may give a number again that it had not got.
    fn continues(self, last: Attachment) -> bool {
        self.history == last.history || self.boot > last.boot
    }
}

/// R10: how far invalidations were passed on to sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Received {
    owner: i64,
    boot: u64,
    batch: u64,
}

/// Why the control connection must be made anew.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{}", describe(.0))]
    Sql(#[from] tokio_postgres::Error),
    #[error("the connection ended")]
    Ended,
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("a batch of boot {0} arrived, but this relay is attached to boot {1}")]
    OtherBoot(u64, u64),
    #[error("batch {0} is missing")]
    Gap(u64),
}

impl Control {
    /// Also returns the queue of subs to unregister, for [`keep_attached`].
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Vec<Sub>>) {
        let (unregister, queue) = mpsc::unbounded_channel();
        (
            Self {
                owner: watch::Sender::new(None),
                received: watch::Sender::default(),
                nudge: Notify::new(),
                last: std::sync::Mutex::new(None),
                unregister,
            },
            queue,
        )
    }

    /// The owner to register with now.
    pub(crate) fn owner(&self) -> Option<i64> {
        *self.owner.borrow()
    }

    /// Waits until there is an owner.
    pub(crate) async fn attached(&self) {
        // The sender lives as long as self.
        let _ = self.owner.subscribe().wait_for(Option::is_some).await;
    }

    /// R10: whether everything in the owner's batches of this boot up to number `n` was passed on.
    /// What is there to be fetched is waited for.
    pub(crate) async fn has_received(&self, owner: i64, boot: u64, n: u64) -> bool {
        let same = move |known: &Received| (known.owner, known.boot) == (owner, boot);
        let enough = move |known: &Received| same(known) && known.batch >= n;
        let mut received = self.received.subscribe();
        if enough(&received.borrow()) {
            return true;
        }
        self.nudge.notify_one();
        let settled = received.wait_for(|known| !same(known) || known.batch >= n);
        matches!(timeout(RECEIPT_PATIENCE, settled).await, Ok(Ok(known)) if enough(&known))
    }

    /// What sessions are told about an attachment.
    fn note(&self, attachment: Attachment) -> Event {
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match last.replace(attachment) {
            Some(before) if !attachment.continues(before) => Event::HistoryLost,
            Some(_) | None => Event::RegistrationsLost,
        }
    }

    /// Forgets registrations, soon.
    pub(crate) fn unregister(&self, subs: Vec<Sub>) {
        // When the relay stops everything is forgotten anyway.
        let _ = self.unregister.send(subs);
    }
}

/// Keeps the relay attached until it stops.
pub(crate) async fn keep_attached(
    relay: Arc<Relay>,
    mut unregister: mpsc::UnboundedReceiver<Vec<Sub>>,
) {
    let mut attempt = 0;
    loop {
        let ended = tokio::select! {
            () = relay.shutdown.cancelled() => return,
            ended = attach_and_follow(&relay, &mut unregister) => ended,
        };
        let was_attached = relay.control.owner.send_replace(None).is_some();
        relay.metrics.attached.set(0);
        if was_attached {
            attempt = 0;
            warn!(reason = %ended, "invalidations may be lost: registering everything anew");
        } else if let Lost::Sql(error) = &ended {
            relay.database.connector.failed(error);
        } else {
            debug!(reason = %ended, "not attached");
        }
        tokio::select! {
            () = relay.shutdown.cancelled() => return,
            () = sleep(backoff(attempt)) => attempt += 1,
        }
    }
}

/// Attaches and passes on invalidations until the connection has to be made anew.
async fn attach_and_follow(
    relay: &Arc<Relay>,
    unregister: &mut mpsc::UnboundedReceiver<Vec<Sub>>,
) -> Lost {
    match Follower::attach(relay).await {
        Ok(mut follower) => match follower.follow(unregister).await {
            Ok(never) => match never {},
            Err(lost) => lost,
        },
        Err(lost) => lost,
    }
}

/// An attached control connection.
struct Follower<'a> {
    relay: &'a Arc<Relay>,
    client: Client,
    next: Statement,
    hints: Arc<Notify>,
    ended: tokio::task::JoinHandle<()>,
    owner: i64,
    boot: u64,
    /// Number of the last batch that was passed on.
    batch: u64,
}

impl<'a> Follower<'a> {
    async fn attach(relay: &'a Arc<Relay>) -> Result<Self, Lost> {
        // A new owner each time: what belonged to the old one is dropped with its connection (R8).
        let owner = rand::rng().random_range(1..=i64::MAX);
        let (client, mut connection) = relay.database.connector.open().await?;
        let hints = Arc::new(Notify::new());
        let notify = Arc::clone(&hints);
        let ended = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if is_hint(&message, owner) {
                    notify.notify_one();
                }
            }
        });
        in_time(client.batch_execute(&format!("LISTEN {CHANNEL}"))).await?;
        let boot = loop {
            let row = in_time(client.query_one(sql::ATTACH, &[&owner])).await?;
            match u64::try_from(row.try_get::<_, i64>(0)?) {
                Ok(boot) if boot != 0 => break boot,
                Ok(_) | Err(_) => sleep(ATTACH_PAUSE).await,
            }
        };
        let next = in_time(client.prepare(sql::NEXT)).await?;
        let row = in_time(client.query_one(sql::REPLICA_TICKET, &[])).await?;
        let attachment = Attachment {
            boot,
            history: (row.try_get("system")?, row.try_get("timeline")?),
        };
        relay.database.connector.recovered();
        relay.metrics.attached.set(1);
        relay.metrics.attachments.add(1);
        info!(boot, "attached");
        // R8: runs register with the new owner from here on; then everything is run again.
        relay.control.owner.send_replace(Some(owner));
        relay.executions.forget_registrations();
        relay.sessions.send_all(&relay.control.note(attachment));
        let follower = Self {
            relay,
            client,
            next,
            hints,
            ended,
            owner,
            boot,
            batch: 0,
        };
        follower.say_received();
        Ok(follower)
    }

    async fn follow(
        &mut self,
        unregister: &mut mpsc::UnboundedReceiver<Vec<Sub>>,
    ) -> Result<std::convert::Infallible, Lost> {
        let mut net = interval(NET);
        net.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut self.ended => return Err(Lost::Ended),
                () = self.hints.notified() => self.fetch().await?,
                () = self.relay.control.nudge.notified() => self.fetch().await?,
                _ = net.tick() => self.fetch().await?,
                Some(subs) = unregister.recv() => self.unregister(subs, unregister).await?,
            }
        }
    }

    /// Passes on every batch that is there.
    async fn fetch(&mut self) -> Result<(), Lost> {
        let (boot, batch) = (self.boot.cast_signed(), self.batch.cast_signed());
        for row in in_time(self.client.query(&self.next, &[&self.owner, &boot, &batch])).await? {
            self.pass_on(&row)?;
        }
        self.say_received();
        Ok(())
    }

    /// After all of it was passed on.
    fn say_received(&self) {
        self.relay.control.received.send_replace(Received {
            owner: self.owner,
            boot: self.boot,
            batch: self.batch,
        });
    }

    fn pass_on(&mut self, row: &Row) -> Result<(), Lost> {
        let (boot, n) = (unsigned(row, "boot")?, unsigned(row, "n")?);
        if boot != self.boot {
            return Err(Lost::OtherBoot(boot, self.boot));
        }
        // R7: batches are numbered without a gap; a batch has one row or more.
        if n != self.batch && n != self.batch + 1 {
            return Err(Lost::Gap(self.batch + 1));
        }
        self.batch = n;
        let sub: Sub = row.try_get("sub")?;
        let moment = Moment {
            boot,
            c: unsigned(row, "c")?,
        };
        self.relay.metrics.invalidations.add(1);
        sharing::invalidated(self.relay, sub, moment);
        Ok(())
    }

    /// Forgets these subs and all that wait.
    async fn unregister(
        &self,
        mut subs: Vec<Sub>,
        queue: &mut mpsc::UnboundedReceiver<Vec<Sub>>,
    ) -> Result<(), Lost> {
        while let Ok(more) = queue.try_recv() {
            subs.extend(more);
        }
        in_time(self.client.query(sql::UNREGISTER, &[&self.owner, &subs])).await?;
        Ok(())
    }
}

/// The answer to a statement of the control connection, unless it takes too long.
async fn in_time<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Lost> {
    Ok(timeout(PATIENCE, answer)
        .await
        .map_err(|_| Lost::Silent)??)
}

/// Whether a notification may be about this owner. It is only a hint: anyone can send one.
fn is_hint(message: &AsyncMessage, owner: i64) -> bool {
    match message {
        AsyncMessage::Notification(notification) => {
            let first = notification.payload().split(' ').next().unwrap_or_default();
            notification.channel() == CHANNEL && first.parse() == Ok(owner)
        }
        // Notices, and what later versions of the library may report.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r12_a_boot_number_given_twice_is_noticed_by_the_timeline() {
        let at = |boot, timeline| Attachment {
            boot,
            history: (7, timeline),
        };
        assert!(at(34, 1).continues(at(34, 1)));
        assert!(at(35, 2).continues(at(34, 1)));
        assert!(!at(34, 2).continues(at(34, 1)));
    }
}
