//! Contexts that are kept for a call to come.

use deno_core::v8;

use super::modules::Loaded;
use crate::js::log_lines::LogLines;

/// Most contexts that are kept.
pub(super) const MAX_KEPT: usize = 4;

/// A module of a deployment. A context is for one of them: what another imports would be seen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModuleKey {
    pub(super) deployment: i64,
    pub(super) path: String,
}

/// Which kept contexts a call may take, and whether its own is kept after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// None, and no.
    Nothing,
    /// One in which no function has run yet; its own is given up.
    Prepared(ModuleKey),
    /// One that has served other calls too; its own is kept.
    Used(ModuleKey),
    /// None: it is the one that prepares a context for another.
    Preparing(ModuleKey),
}

/// A context in which a module has been evaluated.
pub(super) struct Kept {
    pub(super) module: ModuleKey,
    /// Depth of the microtask queue it was made with.
    pub(super) depth: usize,
    /// Whether a function has run in it.
    pub(super) used: bool,
    pub(super) context: v8::Global<v8::Context>,
    pub(super) runtime: v8::Global<v8::Object>,
    pub(super) exports: Option<v8::Global<v8::Object>>,
    pub(super) loaded: Loaded,
    /// What the module logged while it was imported, as long as no call has told that.
    pub(super) log_lines: LogLines,
}

/// The contexts that are kept, the oldest first.
#[derive(Default)]
pub(super) struct KeptContexts {
    contexts: Vec<Kept>,
}

impl KeptContexts {
    /// One that fits, taken out.
    pub(super) fn take(&mut self, keep: &Keep, depth: usize) -> Option<Kept> {
        let (module, used_too) = match keep {
            Keep::Nothing | Keep::Preparing(_) => return None,
            Keep::Prepared(module) => (module, false),
            Keep::Used(module) => (module, true),
        };
        let fits =
            |kept: &Kept| kept.module == *module && kept.depth == depth && (used_too || !kept.used);
        let at = self.contexts.iter().position(fits)?;
        Some(self.contexts.remove(at))
    }

    /// Keeps one; the oldest goes if there are too many.
    pub(super) fn put(&mut self, kept: Kept) {
        if self.contexts.len() >= MAX_KEPT {
            self.contexts.remove(0);
        }
        self.contexts.push(kept);
    }

    /// Whether a call of the module at the top would find one.
    pub(super) fn has(&self, module: &ModuleKey) -> bool {
        self.contexts
            .iter()
            .any(|kept| kept.module == *module && kept.depth == 0)
    }

    /// Drops those of every deployment but `deployment`; says whether one had served calls.
    pub(super) fn forget_others(&mut self, deployment: i64) -> bool {
        let stays = |kept: &Kept| kept.module.deployment == deployment;
        let served = self.contexts.iter().any(|kept| !stays(kept) && kept.used);
        self.contexts.retain(stays);
        served
    }

    /// Drops those whose microtask queue is that of `depth`.
    pub(super) fn forget_depth(&mut self, depth: usize) {
        self.contexts.retain(|kept| kept.depth != depth);
    }
}
