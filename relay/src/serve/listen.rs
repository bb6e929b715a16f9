//! Accepts connections, and bounds what one that says nothing, or says it slowly, can hold.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use super::Relay;

/// A request's head must be here within this time; so long does a connection without a request live, too.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);
/// Pause when the process has no file descriptors left.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(500);

/// So many connections of a second may be accepted at once.
const AT_ONCE: u32 = 20;

/// How fast connections are accepted, so that a storm of them leaves the sessions that there are their share.
struct Pace {
    each: Duration,
    /// When the next one could be accepted if they came evenly.
    even: Instant,
}

impl Pace {
    fn new(per_second: usize, now: Instant) -> Self {
        let per_second = u32::try_from(per_second).unwrap_or(u32::MAX).max(1);
        Self {
            each: Duration::from_secs(1) / per_second,
            even: now
                .checked_sub(Duration::from_secs(1) / AT_ONCE)
                .unwrap_or(now),
        }
    }

    /// When the next connection is to be accepted; `None`: now.
    fn next(&mut self, now: Instant) -> Option<Instant> {
        let ahead = Duration::from_secs(1) / AT_ONCE;
        self.even = self.even.max(now.checked_sub(ahead).unwrap_or(now)) + self.each;
        Some(self.even).filter(|turn| *turn > now)
    }
}

/// Serves connections until the relay drains; open ones go on, and end with the request that they are in.
pub(crate) async fn serve(relay: Arc<Relay>, listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(relay.config.max_connections));
    let mut pace = Pace::new(relay.config.max_accepted, Instant::now());
    loop {
        let turn = pace.next(Instant::now());
        let accepted = tokio::select! {
            () = relay.draining.cancelled() => return,
            accepted = async {
                if let Some(turn) = turn {
                    sleep_until(turn).await;
                }
                accept(&listener, &places).await
            } => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                warn!(%error, "no connection can be accepted");
                sleep(SHORTAGE_PAUSE).await;
                continue;
            }
        };
        // A response and the transition after it are two small writes: the second must not wait for the
        // client's acknowledgement of the first.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "a connection has no TCP_NODELAY");
        }
        let (router, serving) = (router.clone(), Arc::clone(&relay));
        relay.tasks.spawn(async move {
            converse(&serving, stream, router).await;
            drop(place);
        });
    }
}

/// The next connection, once there is a place for it: until then clients wait in the system's queue.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Answers the requests of one connection.
async fn converse(relay: &Relay, stream: TcpStream, router: Router) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = relay.draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = relay.shutdown.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection broke");
    }
}

/// Whether the next connection may be better.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_spread_and_what_comes_slowly_is_not_kept_waiting() {
        let start = Instant::now();
        let mut pace = Pace::new(1_000, start);
        let mut now = start;
        for _ in 0..3_000 {
            now = pace.next(now).unwrap_or(now);
        }
        let took = now - start;
        assert!(took >= Duration::from_millis(2_900), "{took:?}");
        assert!(took <= Duration::from_millis(3_100), "{took:?}");
        for _ in 0..100 {
            now += Duration::from_millis(2);
            let turn = pace.next(now);
            assert!(turn.is_none_or(|turn| turn < now + Duration::from_millis(1)));
        }
        now += Duration::from_secs(1);
        let at_once = (0..100).filter(|_| pace.next(now).is_none()).count();
        assert!((49..=51).contains(&at_once), "{at_once}");
    }
}
