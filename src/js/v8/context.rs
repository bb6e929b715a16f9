//! The context of one call, and everything around it that begins and ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use deno_core::v8;

use super::call::checkpoint;
use super::engine;
use super::exception::{Halt, attempt};
use super::frame::{self, Frame, Halted, Phase};
use super::image::{self, Module};
use super::kept::{Keep, Kept};
use super::platform;
use super::runtime::Runtime;
use super::watchdog::{Metering, Watched};
use crate::js::log_lines::LogLines;
use crate::js::{Failure, JsError, Limits};

/// Garbage that is worth a collection between calls of one statement: a few dozen contexts.
pub(super) const GARBAGE_BYTES: usize = 12 * 1024 * 1024;

/// How a call that was not stopped from outside ended.
pub(super) struct Ended<R, E = JsError> {
    pub(super) result: Result<R, E>,
    pub(super) user_time: Duration,
}

/// Runs `body` in a fresh context, as the innermost call, watched.
pub(super) fn run<R>(
    frame: &Frame<'_>,
    limits: &Limits,
    import_unix_ms: f64,
    body: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>, Runtime<'s>) -> Result<R, Halt>,
) -> Result<Ended<R>, Failure> {
    let ended = watched(frame, limits, Metering::Exact, || {
        in_context(frame, import_unix_ms, body)
    });
    if !matches!(frame.keep, Keep::Preparing(_)) {
        frame.engine.count_call();
        frame.engine.clear_up(GARBAGE_BYTES);
    }
    ended
}

/// Runs `body`, which enters JavaScript, as the innermost call, watched.
pub(super) fn watched<R, E: From<JsError>>(
    frame: &Frame<'_>,
    limits: &Limits,
    metering: Metering,
    body: impl FnOnce() -> Result<R, Halt<E>>,
) -> Result<Ended<R, E>, Failure> {
    let engine = &frame.engine;
    if engine.stack_is_short() {
        return Err(Failure::StackDepth);
    }
    let watched = Watched::new(
        engine.handle(),
        limits,
        frame::on_interrupt,
        engine.clock,
        metering,
    );
    let outer = engine.watchdog.begin(watched);
    let inside = platform::set_inside(true);
    let result = guarded(frame, body);
    platform::set_inside(inside);
    engine.has_run();
    let verdict = engine.watchdog.end(outer);
    // A request to stop that came too late must not hit the next call.
    engine.isolate().cancel_terminate_execution();

    let out_of_memory = engine.heap.reached() || verdict.out_of_memory;
    if out_of_memory {
        engine.wear_out();
    }
    let (halted, result) = match frame.take_halted() {
        // The microtasks it has left must not run in the next call.
        Some(Halted::Ended(error)) => {
            engine.abandon_queue();
            (None, Err(Halt::Thrown(error.into())))
        }
        halted => (halted, result),
    };
    let failure = match (halted, &result) {
        (Some(Halted::Host(payload)), _) => Some(Failure::Host(payload)),
        (Some(Halted::Interrupted), _) => Some(Failure::Interrupted),
        (Some(Halted::Ended(_)), _) => None,
        (None, _) if out_of_memory => Some(Failure::OutOfMemory),
        (None, _) if verdict.timed_out => Some(Failure::TimedOut),
        (None, Err(Halt::Stopped)) => Some(Failure::Engine("stopped without a reason".to_owned())),
        (None, Ok(_) | Err(Halt::Thrown(_))) => None,
    };
    if failure.is_some() {
        engine.abandon_queue();
    }
    match (failure, result) {
        (Some(failure), _) => Err(failure),
        (None, Ok(value)) => Ok(Ended {
            result: Ok(value),
            user_time: verdict.user_time,
        }),
        (None, Err(Halt::Thrown(error))) => Ok(Ended {
            result: Err(error),
            user_time: verdict.user_time,
        }),
        (None, Err(Halt::Stopped)) => unreachable!("a stopped call has a failure"),
    }
}

/// Runs `body` with `frame` as the innermost call. A panic in it is a defect of this code: it ends the call.
fn guarded<R, E>(
    frame: &Frame<'_>,
    body: impl FnOnce() -> Result<R, Halt<E>>,
) -> Result<R, Halt<E>> {
    let depth = frame.engine.depth.get();
    let result = frame.enter(|| catch_unwind(AssertUnwindSafe(body)));
    result.unwrap_or_else(|_| {
        frame.engine.depth.set(depth);
        Err(Halt::Stopped)
    })
}

/// Runs `body` in a context that holds nothing of other calls, unless the call allows to take a used one.
/// One that was prepared is taken if there is one.
fn in_context<R>(
    frame: &Frame<'_>,
    import_unix_ms: f64,
    body: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>, Runtime<'s>) -> Result<R, Halt>,
) -> Result<R, Halt> {
    let engine = &frame.engine;
    let depth = engine.depth.get();
    let mut isolate = engine.isolate();
    v8::scope!(let scope, &mut isolate);
    let kept = engine.kept.borrow_mut().take(&frame.keep, depth);
    let mut module = None;
    let context = match &kept {
        Some(kept) => v8::Local::new(scope, &kept.context),
        None => {
            engine::count_context();
            let stored = stored(scope, frame);
            module = stored.map(|(_, module)| module);
            match stored {
                Some((context, _)) => context,
                None => v8::Context::new(scope, options(engine)),
            }
        }
    };
    let scope = &mut v8::ContextScope::new(scope, context);
    engine.depth.set(depth + 1);
    let continuation = scope.get_continuation_preserved_embedder_data();
    let nothing = v8::undefined(scope);
    scope.set_continuation_preserved_embedder_data(nothing.into());
    let runtime = match (kept, module) {
        (Some(kept), _) => resume(scope, frame, kept),
        (None, Some(module)) => restore(scope, frame, module),
        (None, None) => bootstrap(scope, frame, import_unix_ms),
    };
    let mut result = runtime.and_then(|runtime| body(scope, runtime));
    frame.phase.set(Phase::Ended);
    if let Err(Halt::Thrown(_)) = result
        && let Err(stopped) = checkpoint(scope, frame)
    {
        // What a function that threw has left in the queue must not run in the next call.
        result = Err(stopped);
    }
    scope.set_continuation_preserved_embedder_data(continuation);
    engine.depth.set(depth);
    let keepable = match (&frame.keep, &result) {
        (Keep::Preparing(_), Err(_)) | (_, Err(Halt::Stopped)) => false,
        (_, Ok(_) | Err(Halt::Thrown(_))) => !frame.stopped(),
    };
    if keepable {
        keep(scope, frame, context);
    }
    result
}

fn options<'s>(engine: &engine::Engine) -> v8::ContextOptions<'s> {
    v8::ContextOptions {
        microtask_queue: Some(engine.queue()),
        ..Default::default()
    }
}

/// A copy of the context of the call's module in the image, if it is in it.
fn stored<'s, 'f>(
    scope: &v8::PinScope<'s, '_, ()>,
    frame: &'f Frame<'_>,
) -> Option<(v8::Local<'s, v8::Context>, &'f Module)> {
    let key = match &frame.keep {
        Keep::Nothing => return None,
        Keep::Prepared(key) | Keep::Used(key) | Keep::Preparing(key) => key,
    };
    if key.guarded {
        return None;
    }
    let module = frame.engine.image_of(key)?.module(&key.path)?;
    let context = v8::Context::from_snapshot(scope, module.context?, options(&frame.engine))?;
    Some((context, module))
}

/// Takes over what the present context, of the image, comes with.
fn restore<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    module: &Module,
) -> Result<Runtime<'s>, Halt> {
    let restored = attempt(scope, frame, |scope| image::restore(scope))?;
    if let Keep::Prepared(key) | Keep::Used(key) | Keep::Preparing(key) = &frame.keep
        && let Some(image) = frame.engine.image_of(key)
    {
        frame.loaded.replace(image.loaded());
    }
    frame.log_lines.replace(module.log_lines());
    let global = |object| Some(v8::Global::new(scope, object));
    frame.runtime.replace(global(restored.runtime));
    frame.exports.replace(global(restored.exports));
    let runtime = Runtime(restored.runtime);
    attempt(scope, frame, |scope| runtime.call(scope, "afterImage", &[]))?;
    Ok(runtime)
}

/// Keeps the present context for another call, if this one allows it.
fn keep(scope: &v8::PinScope<'_, '_>, frame: &Frame<'_>, context: v8::Local<'_, v8::Context>) {
    let (module, used) = match &frame.keep {
        Keep::Nothing | Keep::Prepared(_) => return,
        Keep::Used(module) => (module, true),
        Keep::Preparing(module) => (module, false),
    };
    let Some(runtime) = frame.runtime.take() else {
        return;
    };
    let log_lines = if used {
        LogLines::default()
    } else {
        frame.log_lines.take()
    };
    frame.engine.kept.borrow_mut().put(Kept {
        module: module.clone(),
        depth: frame.engine.depth.get(),
        used,
        context: v8::Global::new(scope, context),
        runtime,
        exports: frame.exports.take(),
        loaded: frame.loaded.take(),
        log_lines,
    });
}

/// Makes a kept context ready. In a used one the clock, random numbers and what was observed begin anew.
fn resume<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    kept: Kept,
) -> Result<Runtime<'s>, Halt> {
    let runtime = Runtime(v8::Local::new(scope, &kept.runtime));
    frame.runtime.replace(Some(kept.runtime));
    frame.exports.replace(kept.exports);
    frame.loaded.replace(kept.loaded);
    frame.log_lines.replace(kept.log_lines);
    frame.resumed.set(true);
    if kept.used || kept.module.guarded {
        attempt(scope, frame, |scope| runtime.call(scope, "reset", &[]))?;
    }
    Ok(runtime)
}

/// Builds the globals of the present context.
fn bootstrap<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    import_unix_ms: f64,
) -> Result<Runtime<'s>, Halt> {
    let engine = &frame.engine;
    let object = attempt(scope, frame, |scope| {
        let function = engine.runtime.evaluate(scope, "bootstrap")?;
        let operations = v8::Local::new(scope, &engine.operations.basic).new_instance(scope)?;
        let receiver = v8::undefined(scope);
        let time = v8::Number::new(scope, import_unix_ms.trunc());
        let built = function.call(scope, receiver.into(), &[operations.into(), time.into()])?;
        v8::Local::<v8::Object>::try_from(built).ok()
    })?;
    frame.runtime.replace(Some(v8::Global::new(scope, object)));
    Ok(Runtime(object))
}
