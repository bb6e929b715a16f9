//! Tells when an app's functions change.

use std::path::Path;
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::deploy::App;

/// Editors write a file in several steps: this long without a change, and they are done.
const QUIET: Duration = Duration::from_millis(150);
/// A folder that never falls quiet is looked at anyway.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watches the functions folder of an app.
pub(super) struct Watcher {
    changes: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watcher {
    /// Starts to watch.
    pub(super) fn start(app: &App) -> notify::Result<Self> {
        // One is enough: it only says that there is something to look at.
        let (sender, changes) = mpsc::channel(1);
        let root = app.functions_dir.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| matters(&root, &event)) {
                let _ = sender.try_send(());
            }
        })?;
        watcher.watch(&app.functions_dir, RecursiveMode::Recursive)?;
        Ok(Self {
            changes,
            _watcher: watcher,
        })
    }

    /// Waits for the next change, and then until the folder is quiet.
    pub(super) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        let quiet = async {
            while let Ok(Some(())) = timeout(QUIET, self.changes.recv()).await {
                sleep(QUIET / 4).await;
            }
        };
        // Both outcomes are fine.
        let _ = timeout(PATIENCE, quiet).await;
    }
}

/// Whether an event can change a bundle: not what we write ourselves, nor editors' own files.
fn matters(root: &Path, event: &Event) -> bool {
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    event.paths.iter().any(|path| {
        let Ok(relative) = path.strip_prefix(root) else {
            return false;
        };
        let generated = relative.starts_with("_generated");
        let hidden = relative.components().any(|part| {
            part.as_os_str()
                .as_encoded_bytes()
                .first()
                .is_some_and(|b| matches!(b, b'.' | b'#'))
        });
        let backup = relative.as_os_str().as_encoded_bytes().ends_with(b"~");
        !generated && !hidden && !backup
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: &str) -> Event {
        Event::new(EventKind::Any).add_path(path.into())
    }

    #[test]
    fn only_sources_matter() {
        let root = Path::new("/app/convex");
        assert!(matters(root, &event("/app/convex/messages.ts")));
        assert!(matters(root, &event("/app/convex/sub/deep.ts")));
        assert!(!matters(root, &event("/app/convex/_generated/api.js")));
        assert!(!matters(root, &event("/app/convex/.messages.ts.swp")));
        assert!(!matters(root, &event("/app/convex/messages.ts~")));
        assert!(!matters(root, &event("/app/other.ts")));
    }
}
