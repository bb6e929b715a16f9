//! Driving one call: a context, the import, the function, its asynchronous syscalls, its end.

use std::rc::Rc;

use deno_core::v8;

use super::context;
use super::convert::{short, string, text};
use super::engine::Engine;
use super::exception::{Halt, attempt, describe};
use super::frame::{Frame, HostFault, Pending};
use super::image;
use super::kept::{Keep, ModuleKey};
use super::modules;
use super::ops;
use super::prepare;
use super::runtime::Runtime;
use crate::js::json_text;
use crate::js::{Call, Failure, Host, JsError, Kind, Limits, Observed, Outcome, Sharing};

/// Deepest result: readers of JSON commonly stop at 128.
const RESULT_DEPTH_MAX: usize = 120;

/// See [`crate::js::invoke`].
pub(in crate::js) fn invoke(
    call: &Call<'_>,
    host: &mut dyn Host,
    limits: &Limits,
) -> Result<Outcome, Failure> {
    let engine = Engine::acquire(limits, call.image)?;
    let keep = keep(&engine, call, host, limits)?;
    let mut frame = Frame::new(
        engine,
        host,
        Some(call.deployment),
        limits.interrupt_pending,
        import_seed(call.deployment),
    );
    let guarded = matches!(&keep, Keep::Used(module) if module.guarded);
    frame.keep = keep;
    frame.guarded = guarded;
    let mut observed = Observed::default();
    let ended = context::run(&frame, limits, call.import_unix_ms, |scope, runtime| {
        let result = run(scope, &frame, runtime, call);
        observed = observe(scope, runtime);
        result
    })?;
    let result = ended
        .result
        .and_then(|result| bounded(result, limits.result_bytes))
        .map_err(JsError::bounded);
    prepare::want(&frame, call, limits);
    let wish = image::wish(&frame, call, limits);
    let log_lines = frame.log_lines.take().into_vec();
    drop(frame);
    if let Some(wish) = wish {
        image::start(wish);
    }
    Ok(Outcome {
        result,
        log_lines,
        observed,
        user_time: ended.user_time,
        guarded,
    })
}

/// Which context a call takes.
fn keep(
    engine: &Rc<Engine>,
    call: &Call<'_>,
    host: &mut dyn Host,
    limits: &Limits,
) -> Result<Keep, Failure> {
    let module = |guarded| ModuleKey {
        deployment: call.deployment,
        path: call.module.to_owned(),
        guarded,
    };
    Ok(match call.sharing {
        Sharing::Fresh => Keep::Prepared(module(false)),
        Sharing::Asked => Keep::Used(module(false)),
        Sharing::Proven => {
            let guarded = module(true);
            if prepare::guarded(engine, &guarded, call, host, limits)? {
                Keep::Used(guarded)
            } else {
                Keep::Prepared(module(false))
            }
        }
    })
}

/// Module code sees the same random numbers in every call of a deployment.
pub(super) fn import_seed(deployment: i64) -> [u8; 32] {
    let mut seed = *b"pg_live: seed of module import  ";
    seed[24..].copy_from_slice(&deployment.to_le_bytes());
    seed
}

/// Checks the size of a result, and that it is what it should be: what sends it on does not look again.
fn bounded(result: String, limit: usize) -> Result<String, JsError> {
    let size = result.len();
    if size > limit {
        return Err(JsError::plain(format!(
            "Function return value is too large ({size} bytes > maximum size {limit} bytes)."
        )));
    }
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&result) {
        return Err(JsError::plain(format!(
            "Function return value is not a JSON text: {error}."
        )));
    }
    if json_text::depth(&result) > RESULT_DEPTH_MAX {
        return Err(JsError::plain(format!(
            "Function return value is nested too deeply (maximum depth {RESULT_DEPTH_MAX})."
        )));
    }
    Ok(result)
}

/// Imports the module and runs the function in it.
fn run<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    runtime: Runtime<'s>,
    call: &Call<'_>,
) -> Result<String, Halt> {
    let exports = modules::exports(scope, frame, call.module)?;
    if matches!(frame.keep, Keep::Used(_)) && !frame.resumed.get() {
        harden(scope, frame)?;
    }
    frame.start_running(call.seed);
    let started = attempt(scope, frame, |scope| {
        let kind = match call.kind {
            Kind::Query => "Query",
            Kind::Mutation => "Mutation",
        };
        let args = [
            exports.into(),
            string(scope, call.module)?.into(),
            string(scope, call.export)?.into(),
            short(scope, kind).into(),
            string(scope, call.args)?.into(),
            v8::Number::new(scope, call.now_unix_ms).into(),
        ];
        runtime.call(scope, "start", &args)
    })?;
    match v8::Local::<v8::Promise>::try_from(started) {
        Ok(promise) => {
            promise.mark_as_handled();
            let value = settle(scope, frame, promise)?;
            warn_of_unawaited(frame);
            text(scope, value).ok_or_else(|| thrown("The function's result is not a JSON text."))
        }
        // A text that says why it can not be run.
        Err(_) => Err(thrown(&text(scope, started).unwrap_or_default())),
    }
}

/// Freezes what calls share in a context that is to serve many: all but the variables of modules.
fn harden(scope: &mut v8::PinScope<'_, '_>, frame: &Frame<'_>) -> Result<(), Halt> {
    for file in ["reuse", "harden"] {
        attempt(scope, frame, |scope| {
            let function = frame.engine.runtime.evaluate(scope, file)?;
            let nothing = v8::undefined(scope);
            function.call(scope, nothing.into(), &[])
        })?;
    }
    Ok(())
}

fn thrown(message: &str) -> Halt {
    Halt::Thrown(JsError::plain(message))
}

/// Drives `promise` to its end: microtasks, then the oldest asynchronous syscall, and again.
pub(super) fn settle<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    promise: v8::Local<'s, v8::Promise>,
) -> Result<v8::Local<'s, v8::Value>, Halt> {
    loop {
        checkpoint(scope, frame)?;
        if promise.state() == v8::PromiseState::Rejected {
            let reason = promise.result(scope);
            return Err(describe(scope, frame, reason, None));
        }
        fail_on_unhandled(scope, frame)?;
        if promise.state() == v8::PromiseState::Fulfilled {
            return Ok(promise.result(scope));
        }
        let Some(next) = frame.pending.borrow_mut().pop_front() else {
            return Err(thrown("Returned promise will never resolve"));
        };
        execute(scope, frame, &next)?;
    }
}

/// Runs the context's microtasks.
pub(super) fn checkpoint(scope: &mut v8::PinScope<'_, '_>, frame: &Frame<'_>) -> Result<(), Halt> {
    attempt(scope, frame, |scope| {
        let context = scope.get_current_context();
        context.get_microtask_queue().perform_checkpoint(scope);
        Some(())
    })
}

/// Executes one asynchronous syscall and settles its promise.
fn execute(
    scope: &mut v8::PinScope<'_, '_>,
    frame: &Frame<'_>,
    pending: &Pending,
) -> Result<(), Halt> {
    let answer = frame.call_host(|host| host.async_syscall(&pending.op, &pending.args));
    v8::scope!(let scope, scope);
    attempt(scope, frame, |scope| {
        let resolver = v8::Local::new(scope, &pending.resolver);
        match answer {
            Ok(result) => resolver.resolve(scope, string(scope, &result)?.into()),
            Err(HostFault::Js { message, data }) => {
                let error = ops::host_error(scope, &message, data.as_deref());
                resolver.reject(scope, error)
            }
            Err(HostFault::Stopped) => None,
        }
    })?;
    Ok(())
}

/// Fails with the first rejection that nobody handles.
fn fail_on_unhandled(scope: &mut v8::PinScope<'_, '_>, frame: &Frame<'_>) -> Result<(), Halt> {
    let first = frame
        .rejections
        .borrow()
        .first()
        .map(|promise| v8::Local::new(scope, promise));
    match first {
        Some(promise) => {
            let reason = promise.result(scope);
            Err(describe(scope, frame, reason, None))
        }
        None => Ok(()),
    }
}

/// Says which syscalls were started and never awaited: they are not executed.
fn warn_of_unawaited(frame: &Frame<'_>) {
    let pending = frame.pending.take();
    if pending.is_empty() {
        return;
    }
    let ops: Vec<&str> = pending.iter().map(|pending| pending.op.as_str()).collect();
    let text = format!(
        "'The function ended before these operations, which it did not await; they were not executed: {}'",
        ops.join(", ")
    );
    frame.log_lines.borrow_mut().push("WARN", &text);
}

/// What the function looked at.
fn observe<'s>(scope: &mut v8::PinScope<'s, '_>, runtime: Runtime<'s>) -> Observed {
    let mut observed = Observed {
        time: true,
        randomness: true,
    };
    if let Some(flags) = super::convert::member(scope, runtime.0, "observed")
        && let Ok(flags) = v8::Local::<v8::Object>::try_from(flags)
    {
        let flag = |name: &str| {
            super::convert::member(scope, flags, name).is_none_or(|value| value.is_true())
        };
        observed = Observed {
            time: flag("time"),
            randomness: flag("randomness"),
        };
    }
    observed
}
