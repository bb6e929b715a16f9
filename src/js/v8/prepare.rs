//! What is done between two statements, when the client has its answer: garbage is collected, and contexts are
//! made for the modules that were called last, so that the next call finds its module evaluated.

use super::call::import_seed;
use super::context;
use super::engine::{self, Engine};
use super::frame::Frame;
use super::kept::{Keep, MAX_KEPT, ModuleKey};
use super::modules;
use super::process;
use crate::js::{Call, Host, HostError, Limits, ModuleSource};

/// Garbage that is worth a collection when nobody waits for it.
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
    engine.collect_garbage(GARBAGE_BYTES);
    while go_on() {
        let Some(wanted) = engine.wanted.borrow_mut().pop() else {
            return;
        };
        prepare(&engine, wanted);
    }
}

fn prepare(engine: &std::rc::Rc<Engine>, wanted: Wanted) {
    if engine.kept.borrow().has(&wanted.module) {
        return;
    }
    let mut host = NoHost;
    let deployment = wanted.module.deployment;
    let path = wanted.module.path.clone();
    let mut frame = Frame::new(
        std::rc::Rc::clone(engine),
        &mut host,
        Some(deployment),
        wanted.limits.interrupt_pending,
        import_seed(deployment),
    );
    frame.keep = Keep::Preparing(wanted.module);
    // If it does not succeed there is no context; the next call then finds out why.
    let _ended = context::run(&frame, &wanted.limits, wanted.import_unix_ms, |scope, _| {
        modules::exports(scope, &frame, &path).map(drop)
    });
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
