//! What has to be done between `start_push` and `finish_push`: documents are checked, indexes built. It goes on
//! while the command line asks how far it is, and also if that has gone away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{info, warn};

use super::owner;
use crate::serve::Relay;
use crate::serve::http_error::ApiError;

/// What is remembered of a preparation that nobody asks for any more.
const KEPT: Duration = Duration::from_secs(3600);

/// How far a preparation is.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// The documents are being read.
    Checking,
    /// Indexes are being built: how many are, of how many.
    Building { built: usize, of: usize },
    /// All is done.
    Complete,
    /// Another push has come into force.
    Overtaken,
    /// It cannot be done; what the server said.
    Failed(String),
}

impl Progress {
    /// Whether it will not change any more.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Progress::Checking | Progress::Building { .. } => false,
            Progress::Complete | Progress::Overtaken | Progress::Failed(_) => true,
        }
    }
}

/// The preparations that this relay makes, by the number of the deployment.
#[derive(Default)]
pub(crate) struct Preparations(Mutex<HashMap<i64, (Instant, watch::Receiver<Progress>)>>);

impl Preparations {
    /// The preparation of a deployment, which is begun if it is not yet, or anew if it failed.
    pub(super) fn follow(&self, relay: &Arc<Relay>, push: i64) -> watch::Receiver<Progress> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (begun, _)| begun.elapsed() < KEPT);
        if let Some((_, progress)) = all.get(&push)
            && !matches!(*progress.borrow(), Progress::Failed(_))
        {
            return progress.clone();
        }
        let (sender, progress) = watch::channel(Progress::Checking);
        all.insert(push, (Instant::now(), progress.clone()));
        let relay = Arc::clone(relay);
        relay.tasks.clone().spawn(async move {
            let work = prepare(&relay, push, &sender);
            let done = relay.shutdown.run_until_cancelled(work).await;
            let last = match done {
                Some(Ok(())) => Progress::Complete,
                Some(Err(error)) if error.is_race() => Progress::Overtaken,
                Some(Err(error)) => {
                    abandon(&relay, push, error.message()).await;
                    Progress::Failed(error.message().to_owned())
                }
                None => Progress::Failed("The relay is stopping; push again".to_owned()),
            };
            sender.send_replace(last);
        });
        progress
    }

    /// A deployment is in force, or will not be.
    pub(super) fn forget(&self, push: i64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&push);
    }
}

async fn prepare(
    relay: &Relay,
    push: i64,
    progress: &watch::Sender<Progress>,
) -> Result<(), ApiError> {
    let client = owner::connect_to_deploy(relay).await?;
    let prepared = owner::call(&client, "SELECT live.deploy_prepare($1)", &[&push]).await?;
    let statements = owner::statements(&prepared);
    let of = statements.len();
    for (built, statement) in statements.iter().enumerate() {
        progress.send_replace(Progress::Building { built, of });
        // One by one and outside of a transaction: indexes are built without blocking writers.
        client
            .batch_execute(statement)
            .await
            .map_err(owner::refusal)?;
    }
    Ok(())
}

/// Removes what a failed push has built. What cannot be removed now, the next push removes.
async fn abandon(relay: &Relay, push: i64, reason: &str) {
    let abandoned = async {
        let client = owner::connect_to_deploy(relay).await?;
        let sql = "SELECT live.deploy_abandon($1, $2)";
        let abandoned = owner::call(&client, sql, &[&push, &reason]).await?;
        owner::run_later(&client, &owner::statements(&abandoned)).await;
        Ok::<_, ApiError>(())
    };
    match abandoned.await {
        Ok(()) => info!(push, "what a refused push has built is removed"),
        Err(error) => warn!(
            push,
            error = error.message(),
            "what a refused push has built is left to the next"
        ),
    }
}
