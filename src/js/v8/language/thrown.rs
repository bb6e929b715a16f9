//! From what a body throws to [`ScriptError`].

use deno_core::v8;

use super::super::convert::text;
use super::super::exception::Halt;
use super::super::frame::Frame;
use super::super::runtime::Runtime;
use super::realm::{PROLOGUE, SCRIPT_SCHEME};
use crate::js::routine::{Place, ScriptError};

/// Most frames that are told.
const MAX_FRAMES: usize = 16;

/// Runs `body`, which enters JavaScript. `None` from it means that something was thrown.
pub(super) fn attempt<'s, 'i, R>(
    scope: &mut v8::PinScope<'s, 'i>,
    frame: &Frame<'_>,
    runtime: Runtime<'s>,
    body: impl FnOnce(&mut v8::PinScope<'s, 'i>) -> Option<R>,
) -> Result<R, Halt<ScriptError>> {
    v8::tc_scope!(let scope, scope);
    let result = body(scope);
    if frame.stopped() || scope.has_terminated() {
        // Else V8 goes on to terminate the JavaScript of an outer call that this one is nested in.
        scope.cancel_terminate_execution();
        return Err(Halt::Stopped);
    }
    if let Some(value) = result {
        return Ok(value);
    }
    let (exception, message) = (scope.exception(), scope.message());
    scope.reset();
    match exception {
        Some(exception) => Err(describe(scope, frame, runtime, exception, message)),
        None => Err(thrown("the engine gave no reason")),
    }
}

/// An error without a place.
pub(super) fn thrown(message: &str) -> Halt<ScriptError> {
    Halt::Thrown(ScriptError {
        message: message.to_owned(),
        ..ScriptError::default()
    })
}

/// Describes something that was thrown.
pub(super) fn describe<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    runtime: Runtime<'s>,
    value: v8::Local<'s, v8::Value>,
    message: Option<v8::Local<'s, v8::Message>>,
) -> Halt<ScriptError> {
    v8::tc_scope!(let scope, scope);
    let parts: Option<v8::Local<v8::Array>> = runtime
        .call(scope, "describe", &[value])
        .and_then(|parts| parts.try_into().ok());
    let part = |index| {
        let value = parts?.get_index(scope, index)?;
        text(scope, value)
    };
    let (header, stack) = (part(0), part(1));
    let (sqlstate, detail, hint) = (part(2), part(3), part(4));
    if frame.stopped() || scope.has_terminated() {
        scope.cancel_terminate_execution();
        return Halt::Stopped;
    }
    scope.reset();
    let header = header.unwrap_or_else(|| {
        let told = v8::Exception::create_message(scope, value).get(scope);
        told.to_rust_string_lossy(scope)
    });
    let mut frames = stack.map(|stack| frames(&stack)).unwrap_or_default();
    if frames.is_empty()
        && let Some(place) = message.and_then(|message| place(scope, message))
    {
        frames.push((None, place));
    }
    Halt::Thrown(ScriptError {
        message: header,
        sqlstate,
        detail,
        hint,
        frames,
    })
}

/// The frames of bodies in a stack trace of V8.
fn frames(stack: &str) -> Vec<(Option<String>, Place)> {
    stack
        .lines()
        .filter_map(|line| {
            let frame = line.strip_prefix("    at ")?;
            let (before, place) = frame.split_once(SCRIPT_SCHEME)?;
            let mut numbers = place.trim_end_matches(')').rsplitn(3, ':');
            let column = numbers.next()?.parse().ok()?;
            let line = numbers.next()?.parse().ok()?;
            let name = before.trim_end_matches('(').trim_start_matches("async ");
            let name = name.trim();
            let name = (!name.is_empty()).then(|| name.to_owned());
            Some((name, body_place(line, column)))
        })
        .take(MAX_FRAMES)
        .collect()
}

/// Where in a body something was thrown.
fn place(scope: &v8::PinScope<'_, '_>, message: v8::Local<'_, v8::Message>) -> Option<Place> {
    let script = text(scope, message.get_script_resource_name(scope)?)?;
    if !script.starts_with(SCRIPT_SCHEME) {
        return None;
    }
    let line = message.get_line_number(scope)?;
    Some(body_place(line, message.get_start_column() + 1))
}

/// A place of the compiled text in the body.
fn body_place(line: usize, column: usize) -> Place {
    let before = if line == 1 { PROLOGUE.len() } else { 0 };
    Place {
        line,
        column: column.saturating_sub(before).max(1),
    }
}
