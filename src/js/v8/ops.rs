//! The native operations that the runtime's JavaScript calls.
//!
//! Each is entered from V8, so it must neither panic nor unwind; host code runs inside `Frame::call_host`,
//! which catches. Their callers are files of the runtime, so arguments are of the right kind, but never
//! trusted to be.

#![allow(clippy::needless_pass_by_value, reason = "the signature is V8's")]

use std::sync::OnceLock;

use deno_core::v8;
use deno_core::v8::MapFnTo;

use super::convert::{short, string, text};
use super::exception::{Halt, describe};
use super::frame::{Frame, Halted, HostFault, Pending, Phase, with_current};
use super::ops_web;

/// A native operation: its name, and what V8 calls.
type Operation = (&'static str, v8::FunctionCallback);

/// The operations. Images name them by their place in these lists: one list for all isolates of the process.
struct Operations {
    /// What nearly every call needs.
    basic: [Operation; 8],
    /// What the runtime's lazy files need.
    web: [Operation; 11],
}

fn operations() -> &'static Operations {
    static OPERATIONS: OnceLock<Operations> = OnceLock::new();
    OPERATIONS.get_or_init(|| Operations {
        basic: [
            ("asyncSyscall", async_syscall.map_fn_to()),
            ("end", end.map_fn_to()),
            ("environmentVariable", environment_variable.map_fn_to()),
            ("load", load.map_fn_to()),
            ("log", log.map_fn_to()),
            ("random", random.map_fn_to()),
            ("syscall", syscall.map_fn_to()),
            ("web", web.map_fn_to()),
        ],
        web: [
            ("continuation", continuation.map_fn_to()),
            ("crypto", ops_web::crypto_operation.map_fn_to()),
            ("decodeText", ops_web::decode_text.map_fn_to()),
            ("decodeUtf8", ops_web::decode_utf8.map_fn_to()),
            ("encodingName", ops_web::encoding_name.map_fn_to()),
            ("parseUrl", ops_web::parse_url.map_fn_to()),
            ("setContinuation", set_continuation.map_fn_to()),
            ("setUrlPart", ops_web::set_url_part.map_fn_to()),
            ("structuredClone", ops_web::structured_clone.map_fn_to()),
            ("utf8Length", ops_web::utf8_length.map_fn_to()),
            ("writeUtf8", ops_web::write_utf8.map_fn_to()),
        ],
    })
}

/// The addresses that an image refers to by number.
pub(super) fn external_references() -> Vec<v8::ExternalReference> {
    let operations = operations();
    let all = operations.basic.iter().chain(&operations.web);
    all.map(|(_, function)| v8::ExternalReference {
        function: *function,
    })
    .collect()
}

/// The templates of the objects that hold the operations.
pub(super) struct Templates {
    /// What nearly every call needs.
    pub(super) basic: v8::Global<v8::ObjectTemplate>,
    /// What the runtime's lazy files need; made in a context when the first of them is evaluated.
    web: v8::Global<v8::ObjectTemplate>,
}

impl Templates {
    /// Templates for one isolate.
    pub(super) fn new(isolate: &mut v8::Isolate) -> Self {
        v8::scope!(let scope, isolate);
        let operations = operations();
        Self {
            basic: template(scope, &operations.basic),
            web: template(scope, &operations.web),
        }
    }
}

fn template<'s>(
    scope: &v8::PinScope<'s, '_, ()>,
    operations: &[Operation],
) -> v8::Global<v8::ObjectTemplate> {
    let template = v8::ObjectTemplate::new(scope);
    for (name, function) in operations {
        let function = v8::FunctionTemplate::builder_raw(*function).build(scope);
        template.set(short(scope, name).into(), function.into());
    }
    v8::Global::new(scope, template)
}

/// The object of the operations that are seldom needed.
fn web(
    scope: &mut v8::PinScope<'_, '_>,
    _args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    with_current(|frame| {
        let template = v8::Local::new(scope, &frame.engine.operations.web);
        if let Some(object) = template.new_instance(scope) {
            result.set(object.into());
        }
    });
}

/// Throws an `Error` in JavaScript.
pub(super) fn throw(scope: &v8::PinScope<'_, '_>, message: &str) {
    let message = short(scope, message);
    let error = v8::Exception::error(scope, message);
    scope.throw_exception(error);
}

/// Throws a `TypeError` in JavaScript.
pub(super) fn throw_type_error(scope: &v8::PinScope<'_, '_>, message: &str) {
    let message = short(scope, message);
    let error = v8::Exception::type_error(scope, message);
    scope.throw_exception(error);
}

/// The `Error` that a failed host call becomes.
pub(super) fn host_error<'s>(
    scope: &v8::PinScope<'s, '_>,
    message: &str,
    data: Option<&str>,
) -> v8::Local<'s, v8::Value> {
    let message = string(scope, message).unwrap_or_else(|| short(scope, "(message too long)"));
    let error = v8::Exception::error(scope, message);
    let data = data
        .and_then(|data| string(scope, data))
        .and_then(|data| v8::json::parse(scope, data));
    if let (Some(data), Ok(object)) = (data, v8::Local::<v8::Object>::try_from(error)) {
        object.set(scope, short(scope, "data").into(), data);
    }
    error
}

/// Throws what a failed host call becomes. While the call is being stopped JavaScript may run on for a few
/// steps: an error sends it to the place where V8 looks.
pub(super) fn throw_fault(scope: &v8::PinScope<'_, '_>, fault: HostFault) {
    match fault {
        HostFault::Js { message, data } => {
            let error = host_error(scope, &message, data.as_deref());
            scope.throw_exception(error);
        }
        HostFault::Stopped => throw(scope, "The function is being stopped"),
    }
}

/// The two string arguments of a syscall.
fn op_and_args(
    scope: &v8::PinScope<'_, '_>,
    args: &v8::FunctionCallbackArguments<'_>,
) -> Option<(String, String)> {
    let (op, json) = (text(scope, args.get(0)), text(scope, args.get(1)));
    if op.is_none() || json.is_none() {
        throw_type_error(
            scope,
            "A syscall takes the name of an operation and a JSON text",
        );
    }
    Some((op?, json?))
}

/// Throws if the function does not run now.
fn refused(scope: &v8::PinScope<'_, '_>, frame: &Frame<'_>, op: &str) -> bool {
    let message = match frame.phase.get() {
        Phase::Run => return false,
        Phase::Import => format!(
            "Can't use {op} at import time: the database can be used inside of functions only."
        ),
        Phase::Ended => format!("Can't use {op}: the function has ended."),
    };
    throw(scope, &message);
    true
}

fn syscall(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Some((op, json)) = op_and_args(scope, &args) else {
        return;
    };
    with_current(|frame| {
        if refused(scope, frame, &op) {
            return;
        }
        match frame.call_host(|host| host.syscall(&op, &json)) {
            Ok(answer) => match string(scope, &answer) {
                Some(answer) => result.set(answer.into()),
                None => throw(scope, "The answer is too long"),
            },
            Err(fault) => throw_fault(scope, fault),
        }
    });
}

fn async_syscall(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Some((op, args)) = op_and_args(scope, &args) else {
        return;
    };
    with_current(|frame| {
        if refused(scope, frame, &op) {
            return;
        }
        // None if the stack has run out; V8 has thrown then.
        if let Some(resolver) = v8::PromiseResolver::new(scope) {
            result.set(resolver.get_promise(scope).into());
            let resolver = v8::Global::new(scope, resolver);
            frame
                .pending
                .borrow_mut()
                .push_back(Pending { op, args, resolver });
        }
    });
}

fn environment_variable(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Some(name) = text(scope, args.get(0)) else {
        return;
    };
    with_current(
        |frame| match frame.call_host(|host| host.environment_variable(&name)) {
            Ok(Some(value)) => {
                if let Some(value) = string(scope, &value) {
                    result.set(value.into());
                }
            }
            Ok(None) => {}
            Err(fault) => throw_fault(scope, fault),
        },
    );
}

/// Evaluates a file of the runtime.
pub(super) fn load(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Some(name) = text(scope, args.get(0)) else {
        return;
    };
    with_current(|frame| {
        if let Some(function) = frame.engine.runtime.evaluate(scope, &name) {
            result.set(function.into());
        }
    });
}

/// Ends the function with an error that it can not catch.
fn end<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    with_current(|frame| {
        if let Halt::Thrown(error) = describe(scope, frame, args.get(0), None) {
            frame.halt(Halted::Ended(error));
        }
    });
}

fn log(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    if let (Some(level), Some(line)) = (text(scope, args.get(0)), text(scope, args.get(1))) {
        with_current(|frame| frame.log_lines.borrow_mut().push(&level, &line));
    }
}

/// Fills a typed array with random numbers.
fn random(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(args.get(0)) else {
        return throw_type_error(scope, "random takes a typed array");
    };
    let bytes = ops_web::view_bytes(scope, view);
    with_current(|frame| frame.fill_random(bytes));
}

fn continuation(
    scope: &mut v8::PinScope<'_, '_>,
    _args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    result.set(scope.get_continuation_preserved_embedder_data());
}

fn set_continuation(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    scope.set_continuation_preserved_embedder_data(args.get(0));
}

/// V8's callback at a rejected promise that nobody handles, and when somebody does after all.
///
/// # Safety
/// Called by V8 on the isolate's thread.
pub(super) unsafe extern "C" fn on_promise_rejection(message: v8::PromiseRejectMessage<'_>) {
    // SAFETY: V8 calls this with a context entered.
    v8::callback_scope!(unsafe scope, &message);
    with_current(|frame| {
        let promise = v8::Global::new(scope, message.get_promise());
        let mut rejections = frame.rejections.borrow_mut();
        match message.get_event() {
            v8::PromiseRejectEvent::PromiseRejectWithNoHandler => rejections.push(promise),
            v8::PromiseRejectEvent::PromiseHandlerAddedAfterReject => {
                rejections.retain(|rejected| *rejected != promise);
            }
            v8::PromiseRejectEvent::PromiseRejectAfterResolved
            | v8::PromiseRejectEvent::PromiseResolveAfterResolved => {}
        }
    });
}
