//! `pg-live serve`.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::Failure;
use crate::{deploy, serve};

/// Serves until a signal ends it; a second one ends it at once.
pub(super) async fn run(settings: serve::Settings) -> Result<(), Failure> {
    let config = settings.into_config()?;
    match deploy::check_database(&config.database_url).await {
        // A server that is not up yet is waited for.
        Ok(()) | Err(deploy::Error::Connect(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        asked.cancel();
        // Who asks again does not want to wait.
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(1);
    });
    serve::run(config, stop).await?;
    Ok(())
}
