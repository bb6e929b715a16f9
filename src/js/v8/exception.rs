//! From what JavaScript throws to [`JsError`].

use deno_core::v8;

use super::convert::text;
use super::frame::Frame;
use super::runtime::Runtime;
use crate::js::JsError;
use crate::js::source_map::{MappedPosition, SourceMaps};
use crate::js::specifier::MODULE_SCHEME;
use crate::js::stack_trace;

/// Why a step of a call did not succeed.
pub(super) enum Halt<E = JsError> {
    /// JavaScript threw, or the call can not be made.
    Thrown(E),
    /// The call is being stopped from outside; the frame knows why.
    Stopped,
}

/// Runs `body`, which enters JavaScript. `None` from it means that something was thrown.
pub(super) fn attempt<'s, 'i, R>(
    scope: &mut v8::PinScope<'s, 'i>,
    frame: &Frame<'_>,
    body: impl FnOnce(&mut v8::PinScope<'s, 'i>) -> Option<R>,
) -> Result<R, Halt> {
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
        Some(exception) => Err(describe(scope, frame, exception, message)),
        None => Err(Halt::Thrown(JsError::plain(
            "Uncaught Error: the engine gave no reason\n",
        ))),
    }
}

/// Describes something that was thrown; `message` knows where, for errors without a stack of their own.
pub(super) fn describe<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    thrown: v8::Local<'s, v8::Value>,
    message: Option<v8::Local<'s, v8::Message>>,
) -> Halt {
    v8::tc_scope!(let scope, scope);
    let parts = parts(scope, frame, thrown);
    if frame.stopped() || scope.has_terminated() {
        scope.cancel_terminate_execution();
        return Halt::Stopped;
    }
    let loaded = frame.loaded.borrow();
    let Some((header, stack, data)) = parts else {
        // Describing it threw as well: a getter, or no stack left.
        let header = v8::Exception::create_message(scope, thrown).get(scope);
        let header = header.to_rust_string_lossy(scope);
        let message = format!("{header}\n");
        return Halt::Thrown(JsError {
            message,
            data: None,
        });
    };
    let mut text = stack_trace::uncaught(&header, stack.as_deref(), &*loaded);
    if !text[header.len()..].contains("\n    at ")
        && let Some(at) = message.and_then(|message| position(scope, message, &*loaded))
    {
        text.push_str(&format!("    at {}:{}:{}\n", at.path, at.line, at.column));
    }
    Halt::Thrown(JsError {
        message: text,
        data,
    })
}

type Parts = (String, Option<String>, Option<String>);

/// Header, stack and data of something thrown, as the runtime reads them.
fn parts<'s>(
    scope: &v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    thrown: v8::Local<'s, v8::Value>,
) -> Option<Parts> {
    let runtime = frame.runtime.borrow();
    let runtime = Runtime(v8::Local::new(scope, runtime.as_ref()?));
    let parts: v8::Local<v8::Array> = runtime
        .call(scope, "describe", &[thrown])?
        .try_into()
        .ok()?;
    let header = text(scope, parts.get_index(scope, 0)?)?;
    let stack = text(scope, parts.get_index(scope, 1)?);
    let data = text(scope, parts.get_index(scope, 2)?);
    Some((header, stack, data))
}

/// Where in a module something was thrown.
fn position(
    scope: &v8::PinScope<'_, '_>,
    message: v8::Local<'_, v8::Message>,
    maps: &dyn SourceMaps,
) -> Option<MappedPosition> {
    let script = text(scope, message.get_script_resource_name(scope)?)?;
    if !script.starts_with(MODULE_SCHEME) {
        return None;
    }
    let line = u32::try_from(message.get_line_number(scope)?)
        .ok()?
        .checked_sub(1)?;
    let column = u32::try_from(message.get_start_column()).ok()?;
    Some(maps.map(&script, line, column))
}
