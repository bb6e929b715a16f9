//! The native operations of functions in LANGUAGE js. As in `v8::ops`, nothing here may panic or unwind.

#![allow(clippy::needless_pass_by_value, reason = "the signature is V8's")]

use deno_core::v8;

use super::super::convert::{short, text};
use super::super::frame::{Frame, Phase, with_current};
use super::super::ops::{load, throw, throw_fault, throw_type_error};
use super::values;
use crate::js::routine::{Data, Level, Rows};

/// The object of the operations, in the present context.
pub(super) fn object<'s>(scope: &v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Object>> {
    let template = v8::ObjectTemplate::new(scope);
    let functions = [
        ("execute", v8::FunctionTemplate::new(scope, execute)),
        ("load", v8::FunctionTemplate::new(scope, load)),
        ("notice", v8::FunctionTemplate::new(scope, notice)),
        ("now", v8::FunctionTemplate::new(scope, now)),
        ("query", v8::FunctionTemplate::new(scope, query)),
        ("random", v8::FunctionTemplate::new(scope, random)),
    ];
    for (name, function) in functions {
        template.set(short(scope, name).into(), function.into());
    }
    template.new_instance(scope)
}

/// Rows of a statement, as objects.
fn query(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    with_current(|frame| {
        if let Some(rows) = run(scope, frame, &args)
            && let Some(rows) = values::rows_into_v8(scope, &rows)
        {
            result.set(rows);
        }
    });
}

/// How many rows a statement gave or changed.
fn execute(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    with_current(|frame| {
        if let Some(rows) = run(scope, frame, &args) {
            // No result has 2^53 rows.
            result.set_double(rows.count as f64);
        }
    });
}

/// Runs a statement: text and array of parameters. `None` if something has been thrown.
fn run(
    scope: &v8::PinScope<'_, '_>,
    frame: &Frame<'_>,
    args: &v8::FunctionCallbackArguments<'_>,
) -> Option<Rows> {
    if frame.phase.get() != Phase::Run {
        throw(
            scope,
            "the function has ended: it cannot run statements any more",
        );
        return None;
    }
    let Some(sql) = text(scope, args.get(0)) else {
        throw_type_error(scope, "the text of a statement must be a string");
        return None;
    };
    let list: v8::Local<v8::Array> = args.get(1).try_into().ok()?;
    let statement = frame
        .call_host(|host| host.prepare(&sql))
        .map_err(|fault| throw_fault(scope, fault))
        .ok()?;
    let (given, wanted) = (list.length() as usize, statement.params.len());
    if given != wanted {
        throw_type_error(
            scope,
            &format!("the statement has {wanted} parameters, {given} were given"),
        );
        return None;
    }
    let params: Option<Vec<Data>> = statement
        .params
        .iter()
        .zip(0..)
        .map(|(shape, index)| {
            let value = list.get_index(scope, index)?;
            values::from_v8(scope, value, shape)
        })
        .collect();
    let params = params?;
    frame
        .call_host(|host| host.execute(&statement, params))
        .map_err(|fault| throw_fault(scope, fault))
        .ok()
}

/// A line for the client: level and text.
fn notice(
    scope: &mut v8::PinScope<'_, '_>,
    args: v8::FunctionCallbackArguments<'_>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    let (Some(level), Some(line)) = (text(scope, args.get(0)), text(scope, args.get(1))) else {
        return;
    };
    let level = match level.as_str() {
        "debug" => Level::Debug,
        "info" => Level::Info,
        "warning" => Level::Warning,
        _ => Level::Notice,
    };
    with_current(|frame| {
        if let Err(fault) = frame.call_host(|host| host.notice(level, &line)) {
            throw_fault(scope, fault);
        }
    });
}

/// The time that the function sees, in milliseconds since 1970.
fn now(
    _scope: &mut v8::PinScope<'_, '_>,
    _args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    with_current(|frame| {
        if let Ok(ms) = frame.call_host(|host| host.now_unix_ms()) {
            result.set_double(ms);
        }
    });
}

/// A random number from 0 to 1, of a generator that tells nobody what comes next.
fn random(
    _scope: &mut v8::PinScope<'_, '_>,
    _args: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    result.set_double(rand::random::<f64>());
}
