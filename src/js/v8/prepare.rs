//! What is done between two statements, when the client has its answer: garbage is collected, and contexts are
//! made for the modules that were called last, so that the next call finds its module evaluated.

use std::rc::Rc;

use super::call::import_seed;
use super::context;
use super::engine::{self, Engine};
use super::frame::Frame;
use super::kept::{Keep, MAX_KEPT, ModuleKey};
use super::{guarded, modules, process};
use crate::js::{Call, Failure, Host, HostError, Limits, ModuleSource, Sharing};

/// Garbage, with contexts in it, that is worth a collection when nobody waits for it.
const GARBAGE_BYTES: usize = 2 * 1024 * 1024;

/// A module for which a context should be prepared.
pub(super) struct Wanted {
    module: ModuleKey,
    import_unix_ms: f64,
    limits: Limits,
}

/// Notes what a call at the top has used up.
pub(super) fn want(frame: &Frame<'_>, call: &Call<'_>, limits: &Limits) {
    let Keep::Prepared(module) = &frame.keep else {
        return;
    };
    let guarded = ModuleKey {
        guarded: true,
        ..module.clone()
    };
    let trusted = !frame.engine.distrusted.borrow().contains(&guarded);
    let module = if call.sharing == Sharing::Proven && trusted {
        &guarded
    } else {
        module
    };
    let mut wanted = frame.engine.wanted.borrow_mut();
    if frame.engine.depth.get() > 0 || wanted.iter().any(|other| other.module == *module) {
        return;
    }
    if wanted.len() == MAX_KEPT {
        wanted.remove(0);
    }
    wanted.push(Wanted {
        module: module.clone(),
        import_unix_ms: call.import_unix_ms,
        limits: limits.clone(),
    });
}

/// See [`crate::js::between_statements`].
pub(in crate::js) fn between_statements(go_on: fn() -> bool) {
    process::reap();
    engine::adopt_image();
    let Some(engine) = engine::resting() else {
        return;
    };
    if engine.has_made_contexts() {
        engine.collect_garbage(GARBAGE_BYTES);
    } else if engine.is_unseen() {
        engine.collect_garbage(context::GARBAGE_BYTES);
    }
    if engine::resting().is_none() {
        // The next call has a new isolate.
        return;
    }
    while go_on() {
        let Some(wanted) = engine.wanted.borrow_mut().pop() else {
            return;
        };
        // If it does not succeed there is no context; the next call then finds out why.
        let _result = prepare(&engine, wanted, &mut NoHost);
    }
}

/// Whether there is a guarded context for a call of `module`; one is made if the module was called before.
pub(super) fn guarded(
    engine: &Rc<Engine>,
    module: &ModuleKey,
    call: &Call<'_>,
    host: &mut dyn Host,
    limits: &Limits,
) -> Result<bool, Failure> {
    if engine.distrusted.borrow().contains(module) {
        return Ok(false);
    }
    let depth = engine.depth.get();
    let has = || engine.kept.borrow().has(module, depth);
    if has() {
        return Ok(true);
    }
    let is_first = engine.called.borrow_mut().insert(module.clone());
    if is_first {
        return Ok(false);
    }
    let wanted = Wanted {
        module: module.clone(),
        import_unix_ms: call.import_unix_ms,
        limits: limits.clone(),
    };
    match prepare(engine, wanted, host) {
        Ok(()) => {}
        // What takes too much is not tried again.
        Err(Failure::TimedOut | Failure::OutOfMemory | Failure::StackDepth) => {
            guarded::remember(engine, module.clone());
        }
        Err(failure) => return Err(failure),
    }
    Ok(has())
}

fn prepare(engine: &Rc<Engine>, wanted: Wanted, host: &mut dyn Host) -> Result<(), Failure> {
    let depth = engine.depth.get();
    if engine.kept.borrow().has(&wanted.module, depth) {
        return Ok(());
    }
    let module = wanted.module.clone();
    let deployment = module.deployment;
    let mut frame = Frame::new(
        Rc::clone(engine),
        host,
        Some(deployment),
        wanted.limits.interrupt_pending,
        import_seed(deployment),
    );
    frame.guarded = module.guarded;
    frame.keep = Keep::Preparing(wanted.module);
    let ended = context::run(&frame, &wanted.limits, wanted.import_unix_ms, |scope, _| {
        if module.guarded {
            guarded::import(scope, &frame, &module.path)
        } else {
            modules::exports(scope, &frame, &module.path).map(drop)
        }
    })?;
    if ended.result.is_err() && module.guarded {
        guarded::remember(engine, module);
    }
    Ok(())
}

/// Outside of a transaction nothing of the database can be reached. The code of modules that were called is
/// at hand.
struct NoHost;

impl Host for NoHost {
    fn module(&mut self, path: &str) -> Result<Option<ModuleSource>, HostError> {
        Err(unreachable(path))
    }

    fn syscall(&mut self, op: &str, _args: &str) -> Result<String, HostError> {
        Err(unreachable(op))
    }

    fn async_syscall(&mut self, op: &str, _args: &str) -> Result<String, HostError> {
        Err(unreachable(op))
    }

    fn environment_variable(&mut self, name: &str) -> Result<Option<String>, HostError> {
        Err(unreachable(name))
    }
}

/// Ends the preparation.
fn unreachable(what: &str) -> HostError {
    HostError::Fatal(Box::new(format!("{what} is needed to prepare a context")))
}
