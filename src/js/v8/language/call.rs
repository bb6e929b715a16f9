//! One call of a function in LANGUAGE js.

use deno_core::v8;

use super::super::context;
use super::super::engine::Engine;
use super::super::exception::Halt;
use super::super::frame::{Frame, HostFault, Phase};
use super::super::runtime::Runtime;
use super::super::watchdog::Metering;
use super::realm::Realm;
use super::thrown::{attempt, describe, thrown};
use super::values;
use crate::js::routine::{Data, Returns, Routine, ScriptError, Shape};
use crate::js::{Failure, Host, Limits};

type Step<R> = Result<R, Halt<ScriptError>>;

/// See [`crate::js::routine::call_routine`].
pub(in crate::js) fn call_routine(
    routine: &Routine,
    role: u32,
    args: &[Data],
    returns: Returns<'_>,
    host: &mut dyn Host,
    limits: &Limits,
) -> Result<Result<Data, ScriptError>, Failure> {
    in_realm(role, host, limits, |scope, frame, realm| {
        let runtime = realm.runtime(scope);
        let function = attempt(scope, frame, runtime, |scope| {
            match realm.compiled(scope, routine) {
                Some(function) => Some(function),
                None => realm.compile(scope, routine),
            }
        })?;
        frame.phase.set(Phase::Run);
        let value = attempt(scope, frame, runtime, |scope| {
            let args: Option<Vec<v8::Local<v8::Value>>> =
                args.iter().map(|arg| values::into_v8(scope, arg)).collect();
            let receiver = v8::undefined(scope);
            function.call(scope, receiver.into(), &args?)
        })?;
        let value = settle(scope, frame, runtime, value)?;
        let result = take(scope, frame, runtime, value, returns)?;
        // Reading the result may have run code of the body as well.
        drain(scope, frame, runtime)?;
        Ok(result)
    })
}

/// See [`crate::js::routine::check_routine`].
pub(in crate::js) fn check_routine(
    routine: &Routine,
    role: u32,
    host: &mut dyn Host,
    limits: &Limits,
) -> Result<Result<(), ScriptError>, Failure> {
    in_realm(role, host, limits, |scope, frame, realm| {
        let runtime = realm.runtime(scope);
        attempt(scope, frame, runtime, |scope| realm.compile(scope, routine))?;
        Ok(())
    })
}

/// Runs `body` in the context of `role`, as the innermost call, watched.
fn in_realm<R>(
    role: u32,
    host: &mut dyn Host,
    limits: &Limits,
    body: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>, &Frame<'_>, &Realm) -> Step<R>,
) -> Result<Result<R, ScriptError>, Failure> {
    let engine = Engine::acquire(limits, None)?;
    let frame = Frame::new(engine, host, None, limits.interrupt_pending, [0; 32]);
    let ended = context::watched(&frame, limits, Metering::Coarse, || {
        let engine = &frame.engine;
        let depth = engine.depth.get();
        let Some(realm) = Realm::acquire(engine, role) else {
            return Err(thrown("the context of LANGUAGE js could not be made"));
        };
        let mut isolate = engine.isolate();
        v8::scope!(let scope, &mut isolate);
        let context = v8::Local::new(scope, realm.context());
        let scope = &mut v8::ContextScope::new(scope, context);
        engine.depth.set(depth + 1);
        let mut result = body(scope, &frame, &realm);
        frame.phase.set(Phase::Ended);
        let runtime = realm.runtime(scope);
        if let Err(Halt::Thrown(_)) = result
            && let Err(Halt::Stopped) = checkpoint(scope, &frame, runtime)
        {
            // What a function that threw has left in the queue must not run in the next call.
            result = Err(Halt::Stopped);
        }
        engine.depth.set(depth);
        result
    });
    if ended.is_err() {
        // One that was stopped may have left a heap that is nearly full.
        frame.engine.clear_up(context::GARBAGE_BYTES);
    }
    Ok(ended?.result)
}

/// Runs what the body left in the microtask queue.
fn checkpoint<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    runtime: Runtime<'s>,
) -> Step<()> {
    attempt(scope, frame, runtime, |scope| {
        let context = scope.get_current_context();
        context.get_microtask_queue().perform_checkpoint(scope);
        Some(())
    })
}

/// Runs the microtasks; a rejection that nobody handles is an error.
fn drain<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    runtime: Runtime<'s>,
) -> Step<()> {
    checkpoint(scope, frame, runtime)?;
    let first = frame
        .rejections
        .borrow()
        .first()
        .map(|promise| v8::Local::new(scope, promise));
    match first {
        Some(promise) => {
            let reason = promise.result(scope);
            Err(describe(scope, frame, runtime, reason, None))
        }
        None => Ok(()),
    }
}

/// The value that a promise comes to; any other value is itself.
fn settle<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    runtime: Runtime<'s>,
    value: v8::Local<'s, v8::Value>,
) -> Step<v8::Local<'s, v8::Value>> {
    let Ok(promise) = v8::Local::<v8::Promise>::try_from(value) else {
        drain(scope, frame, runtime)?;
        return Ok(value);
    };
    drain(scope, frame, runtime)?;
    match promise.state() {
        v8::PromiseState::Fulfilled => Ok(promise.result(scope)),
        v8::PromiseState::Rejected => {
            let reason = promise.result(scope);
            Err(describe(scope, frame, runtime, reason, None))
        }
        v8::PromiseState::Pending => Err(thrown("the returned promise will never resolve")),
    }
}

/// Reads what the body returned.
fn take<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    runtime: Runtime<'s>,
    value: v8::Local<'s, v8::Value>,
    returns: Returns<'_>,
) -> Step<Data> {
    match returns {
        Returns::Nothing => Ok(Data::Null),
        Returns::Row(_) if value.is_undefined() => Err(thrown(
            "the trigger function returned undefined; return NEW or OLD for the row, null to skip it",
        )),
        Returns::One(shape) | Returns::Row(shape) => attempt(scope, frame, runtime, |scope| {
            values::from_v8(scope, value, shape)
        }),
        Returns::Many(shape) => {
            emit_all(scope, frame, runtime, value, shape)?;
            Ok(Data::Null)
        }
    }
}

/// Hands each value of an array or another iterable to the host.
fn emit_all<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    runtime: Runtime<'s>,
    value: v8::Local<'s, v8::Value>,
    shape: &Shape,
) -> Step<()> {
    if value.is_null_or_undefined() {
        return Ok(());
    }
    let next = attempt(scope, frame, runtime, |scope| {
        runtime.call(scope, "iterate", &[value])
    })?;
    let Ok(next) = v8::Local::<v8::Function>::try_from(next) else {
        return Err(thrown(
            "a function that returns a set must return an array or something else that can be iterated",
        ));
    };
    loop {
        v8::scope!(let scope, scope);
        let emitted = attempt(scope, frame, runtime, |scope| {
            let receiver = v8::undefined(scope);
            let step = next.call(scope, receiver.into(), &[])?;
            let Ok(step) = v8::Local::<v8::Array>::try_from(step) else {
                return Some(false);
            };
            let value = step.get_index(scope, 0)?;
            let data = values::from_v8(scope, value, shape)?;
            match frame.call_host(|host| host.emit(data)) {
                Ok(()) => Some(true),
                Err(HostFault::Js { message, .. }) => {
                    super::super::ops::throw(scope, &message);
                    None
                }
                Err(HostFault::Stopped) => None,
            }
        })?;
        if !emitted {
            return Ok(());
        }
    }
}
