//! Contexts that are kept for a call to come.

use deno_core::v8;

use super::modules::Loaded;
use crate::js::log_lines::LogLines;

/// Most contexts that are kept for one call each.
pub(super) const MAX_KEPT: usize = 4;
/// Most contexts that are kept for many calls.
const MAX_SHARED: usize = 16;

/// A module of a deployment. A context is for one of them: what another imports would be seen in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ModuleKey {
    pub(super) deployment: i64,
    pub(super) path: String,
    /// Whether all that the module made while it was imported is frozen.
    pub(super) guarded: bool,
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
        let is_shared = |kept: &Kept| kept.used || kept.module.guarded;
        let shared = is_shared(&kept);
        let alike = |other: &Kept| is_shared(other) == shared;
        let most = if shared { MAX_SHARED } else { MAX_KEPT };
        if self.contexts.iter().filter(|other| alike(other)).count() >= most
            && let Some(oldest) = self.contexts.iter().position(alike)
        {
            self.contexts.remove(oldest);
        }
        self.contexts.push(kept);
    }

    /// Whether a call of the module at this depth would find one.
    pub(super) fn has(&self, module: &ModuleKey, depth: usize) -> bool {
        self.contexts
            .iter()
            .any(|kept| kept.module == *module && kept.depth == depth)
    }

    /// Drops those of a module.
    pub(super) fn forget(&mut self, module: &ModuleKey) {
        self.contexts.retain(|kept| kept.module != *module);
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
