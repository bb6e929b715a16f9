//! The connection to the primary over which runs on replicas get their tickets and are registered.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use pg_live_session::Moment;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;
use tokio_postgres::types::{PgLsn, ToSql};
use tokio_postgres::{Client, Statement};
use tracing::debug;

use super::database::{sql, unsigned};
use super::metrics::Metrics;
use super::pool::Connector;
use super::sql_error::describe;

/// A primary that does not answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The present of the primary, for a run on a replica: a replica that has replayed the log of this
/// system and timeline up to `lsn` sees all that had completed at `c`.
///
/// R9, R12, R13: the run counts as one at (boot, c). It is not older than any run that ended before
/// the ticket was asked for, wherever that ran, since what any standby has replayed lies before `lsn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// 0 while the invalidator is not up.
    pub(crate) boot: u64,
    pub(crate) c: u64,
    pub(crate) lsn: PgLsn,
    pub(crate) timeline: i64,
    pub(crate) system: i64,
}

impl Ticket {
    /// What a run with this ticket counts as.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            boot: self.boot,
            c: self.c,
        }
    }
}

/// A result to register: (owner, sub, generation), the ticket, the snapshot and the read-set.
pub(crate) struct Registration<'a> {
    pub(crate) owner: i64,
    pub(crate) sub: i64,
    pub(crate) generation: i64,
    pub(crate) ticket: Ticket,
    pub(crate) snapshot: &'a [u8],
    pub(crate) reads: &'a [u8],
}

/// Why the primary did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unlinked {
    #[error("{}", describe(.0))]
    Sql(#[from] tokio_postgres::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
}

/// One connection that all runs share: their statements follow each other on it.
pub(crate) struct Link {
    connector: Arc<Connector>,
    current: Mutex<Option<Arc<Linked>>>,
    requests: mpsc::UnboundedSender<oneshot::Sender<Ticket>>,
}

struct Linked {
    client: Client,
    ticket: Statement,
    register: Statement,
}

impl Link {
    /// The queue is for [`issue_tickets`].
    pub(crate) fn new(
        connector: Arc<Connector>,
    ) -> (Self, mpsc::UnboundedReceiver<oneshot::Sender<Ticket>>) {
        let (requests, queue) = mpsc::unbounded_channel();
        let link = Self {
            connector,
            current: Mutex::new(None),
            requests,
        };
        (link, queue)
    }

    /// The present, read after this call. `None`: the primary cannot be reached.
    pub(crate) async fn ticket(&self) -> Option<Ticket> {
        let (answer, ticket) = oneshot::channel();
        self.requests.send(answer).ok()?;
        ticket.await.ok()
    }

    /// The position behind the registration; `None`: not registered.
    pub(crate) async fn register(
        &self,
        registration: Registration<'_>,
    ) -> Result<Option<u64>, Unlinked> {
        let Registration {
            owner,
            sub,
            generation,
            ticket,
            snapshot,
            reads,
        } = registration;
        let (boot, c) = (ticket.boot.cast_signed(), ticket.c.cast_signed());
        let linked = self.linked().await?;
        let parameters: [&(dyn ToSql + Sync); 7] =
            [&owner, &sub, &generation, &boot, &c, &snapshot, &reads];
        let row = linked.client.query_one(&linked.register, &parameters);
        let position: Option<i64> = in_time(row).await?.try_get(0)?;
        Ok(position.map(i64::cast_unsigned))
    }

    async fn fetch_ticket(&self) -> Result<Ticket, Unlinked> {
        let linked = self.linked().await?;
        let row = in_time(linked.client.query_one(&linked.ticket, &[])).await;
        if matches!(row, Err(Unlinked::Silent)) {
            *self.current.lock().await = None;
        }
        let row = row?;
        Ok(Ticket {
            boot: unsigned(&row, "boot")?,
            c: unsigned(&row, "c")?,
            lsn: row.try_get("lsn")?,
            timeline: row.try_get("timeline")?,
            system: row.try_get("system")?,
        })
    }

    async fn linked(&self) -> Result<Arc<Linked>, Unlinked> {
        let mut current = self.current.lock().await;
        if let Some(linked) = current.as_ref().filter(|it| !it.client.is_closed()) {
            return Ok(Arc::clone(linked));
        }
        let (client, connection) = in_time(self.connector.open()).await?;
        tokio::spawn(connection.map(|ended| {
            if let Err(error) = ended {
                debug!(error = describe(&error), "the link to the primary ended");
            }
        }));
        let linked = Arc::new(Linked {
            ticket: in_time(client.prepare(sql::REPLICA_TICKET)).await?,
            register: in_time(client.prepare(sql::REGISTER)).await?,
            client,
        });
        *current = Some(Arc::clone(&linked));
        Ok(linked)
    }
}

/// Answers requests for tickets: one statement for all that came while the last one was under way, so that
/// the primary does little for each run.
pub(crate) async fn issue_tickets(
    link: Arc<Link>,
    mut queue: mpsc::UnboundedReceiver<oneshot::Sender<Ticket>>,
    metrics: Arc<Metrics>,
) {
    while let Some(first) = queue.recv().await {
        let mut waiting = vec![first];
        while let Ok(more) = queue.try_recv() {
            waiting.push(more);
        }
        metrics.replica_tickets.add(1);
        match link.fetch_ticket().await {
            Ok(ticket) => {
                for answer in waiting {
                    // Who asked may have gone.
                    let _ = answer.send(ticket);
                }
            }
            Err(error) => debug!(%error, "no ticket for runs on replicas"),
        }
    }
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Unlinked> {
    Ok(timeout(PATIENCE, answer)
        .await
        .map_err(|_| Unlinked::Silent)??)
}
