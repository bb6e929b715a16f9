//! Accepts connections, and bounds what one that says nothing, or says it slowly, can hold.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::Relay;

/// A request's head must be here within this time; so long does a connection without a request live, too.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);
/// Pause when the process has no file descriptors left.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(500);

/// Serves connections until the relay drains; open ones go on, and end with the request that they are in.
pub(crate) async fn serve(relay: Arc<Relay>, listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(relay.config.max_connections));
    loop {
        let accepted = tokio::select! {
            () = relay.draining.cancelled() => return,
            accepted = accept(&listener, &places) => accepted,
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
