//! Looking at modules without calling functions: the analysis of a deployment, its schema.

use deno_core::v8;

use super::context;
use super::convert::{member, text};
use super::engine::Engine;
use super::exception::{Halt, attempt};
use super::frame::Frame;
use super::modules;
use super::runtime::Runtime;
use crate::js::analysis::AnalyzedFunction;
use crate::js::{AnalyzedModule, Failure, Host, JsError, Limits, ModuleFailure};

/// Seed number of code that belongs to no deployment yet.
const NO_DEPLOYMENT: i64 = 0;

/// See [`crate::js::analyze`].
pub(in crate::js) fn analyze(
    paths: &[&str],
    host: &mut dyn Host,
    limits: &Limits,
    import_unix_ms: f64,
) -> Result<Vec<AnalyzedModule>, ModuleFailure> {
    let mut at = "";
    let result = look(host, limits, import_unix_ms, |scope, frame, runtime| {
        let mut analyzed = Vec::with_capacity(paths.len());
        for path in paths {
            at = path;
            analyzed.push(analyze_module(scope, frame, runtime, path)?);
        }
        Ok(analyzed)
    });
    in_module(at, result)
}

/// See [`crate::js::evaluate_schema`].
pub(in crate::js) fn evaluate_schema(
    path: &str,
    host: &mut dyn Host,
    limits: &Limits,
    import_unix_ms: f64,
) -> Result<String, ModuleFailure> {
    export(path, "exportSchema", host, limits, import_unix_ms)
}

/// See [`crate::js::evaluate_auth_config`].
pub(in crate::js) fn evaluate_auth_config(
    path: &str,
    host: &mut dyn Host,
    limits: &Limits,
    import_unix_ms: f64,
) -> Result<String, ModuleFailure> {
    export(path, "exportAuthConfig", host, limits, import_unix_ms)
}

/// The text that a function of the runtime makes of a module's exports.
fn export(
    path: &str,
    function: &str,
    host: &mut dyn Host,
    limits: &Limits,
    import_unix_ms: f64,
) -> Result<String, ModuleFailure> {
    let result = look(host, limits, import_unix_ms, |scope, frame, runtime| {
        let exports = modules::import(scope, frame, path)?;
        attempt(scope, frame, |scope| {
            let exported = runtime.call(scope, function, &[exports.into()])?;
            Some(text(scope, exported))
        })?
        .ok_or_else(|| Halt::Thrown(JsError::plain("The default export is not a JSON text.")))
    });
    in_module(path, result)
}

fn in_module<R>(
    path: &str,
    result: Result<Result<R, JsError>, Failure>,
) -> Result<R, ModuleFailure> {
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ModuleFailure::Module {
            path: path.to_owned(),
            error,
        }),
        Err(failure) => Err(failure.into()),
    }
}

/// Runs `body` in a context for code of no deployment.
fn look<R>(
    host: &mut dyn Host,
    limits: &Limits,
    import_unix_ms: f64,
    body: impl for<'s, 'i> FnOnce(&mut v8::PinScope<'s, 'i>, &Frame<'_>, Runtime<'s>) -> Result<R, Halt>,
) -> Result<Result<R, JsError>, Failure> {
    let engine = Engine::acquire(limits, None)?;
    let seed = super::call::import_seed(NO_DEPLOYMENT);
    let frame = Frame::new(engine, host, None, limits.interrupt_pending, seed);
    let ended = context::run(&frame, limits, import_unix_ms, |scope, runtime| {
        body(scope, &frame, runtime)
    })?;
    Ok(ended.result)
}

/// What the module at `path` exports.
pub(super) fn analyze_module<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    runtime: Runtime<'s>,
    path: &str,
) -> Result<AnalyzedModule, Halt> {
    let exports = modules::import(scope, frame, path)?;
    let json = attempt(scope, frame, |scope| {
        let report = runtime.call(scope, "analyze", &[exports.into()])?;
        text(scope, report)
    })?;
    let functions = AnalyzedFunction::parse_all(&json)
        .map_err(|error| Halt::Thrown(JsError::plain(format!("Malformed function: {error}"))))?;
    let asks_for_reuse =
        member(scope, exports, "experimental_reuseContext").is_some_and(|value| value.is_true());
    Ok(AnalyzedModule {
        path: path.to_owned(),
        functions,
        asks_for_reuse,
    })
}
