//! A fresh context for one call, and everything around it that begins and ends.

use std::time::Duration;

use deno_core::v8;

use super::engine;
use super::exception::{Halt, attempt};
use super::frame::{self, Frame, Halted};
use super::platform;
use super::runtime::Runtime;
use super::watchdog::Watched;
use crate::js::{Failure, JsError, Limits};

/// How a call that was not stopped from outside ended.
pub(super) struct Ended<R> {
    pub(super) result: Result<R, JsError>,
    pub(super) user_time: Duration,
}

/// Runs `body` in a fresh context, as the innermost call, watched.
pub(super) fn run<R>(
    frame: &Frame<'_>,
    limits: &Limits,
    import_unix_ms: f64,
    body: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>, Runtime<'s>) -> Result<R, Halt>,
) -> Result<Ended<R>, Failure> {
    let engine = &frame.engine;
    if engine.stack_is_short() {
        return Err(Failure::StackDepth);
    }
    let watched = Watched::new(
        engine.handle(),
        limits.user_time,
        limits.interrupt_pending,
        frame::on_interrupt,
        engine.clock,
    );
    let outer = engine.watchdog.begin(watched);
    let inside = platform::set_inside(true);
    let result = frame.enter(|| in_fresh_context(frame, import_unix_ms, body));
    platform::set_inside(inside);
    let (user_time, timed_out) = engine.watchdog.end(outer);
    // A request to stop that came too late must not hit the next call.
    engine.isolate().cancel_terminate_execution();

    let out_of_memory = engine.heap.reached();
    if out_of_memory {
        engine.wear_out();
    }
    let failure = match (frame.take_halted(), &result) {
        (Some(Halted::Host(payload)), _) => Some(Failure::Host(payload)),
        (Some(Halted::Interrupted), _) => Some(Failure::Interrupted),
        (None, _) if out_of_memory => Some(Failure::OutOfMemory),
        (None, _) if timed_out => Some(Failure::TimedOut),
        (None, Err(Halt::Stopped)) => Some(Failure::Engine("stopped without a reason".to_owned())),
        (None, Ok(_) | Err(Halt::Thrown(_))) => None,
    };
    if failure.is_some() || !matches!(result, Ok(_)) {
        engine.abandon_queue();
    }
    match (failure, result) {
        (Some(failure), _) => Err(failure),
        (None, Ok(value)) => Ok(Ended {
            result: Ok(value),
            user_time,
        }),
        (None, Err(Halt::Thrown(error))) => Ok(Ended {
            result: Err(error),
            user_time,
        }),
        (None, Err(Halt::Stopped)) => unreachable!("a stopped call has a failure"),
    }
}

fn in_fresh_context<R>(
    frame: &Frame<'_>,
    import_unix_ms: f64,
    body: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>, Runtime<'s>) -> Result<R, Halt>,
) -> Result<R, Halt> {
    let engine = &frame.engine;
    let mut isolate = engine.isolate();
    v8::scope!(let scope, &mut isolate);
    let options = v8::ContextOptions {
        microtask_queue: Some(engine.queue()),
        ..Default::default()
    };
    let context = v8::Context::new(scope, options);
    engine::count_context();
    let scope = &mut v8::ContextScope::new(scope, context);
    engine.depth.set(engine.depth.get() + 1);
    let result = bootstrap(scope, frame, import_unix_ms).and_then(|runtime| body(scope, runtime));
    engine.depth.set(engine.depth.get() - 1);
    result
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
        let operations = v8::Local::new(scope, &engine.operations).new_instance(scope)?;
        let receiver = v8::undefined(scope);
        let time = v8::Number::new(scope, import_unix_ms.trunc());
        let built = function.call(scope, receiver.into(), &[operations.into(), time.into()])?;
        v8::Local::<v8::Object>::try_from(built).ok()
    })?;
    frame.runtime.replace(Some(v8::Global::new(scope, object)));
    Ok(Runtime(object))
}
