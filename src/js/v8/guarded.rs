//! Contexts that many calls share because nothing in them can change: see `runtime/guard.js`.

use deno_core::v8;

use super::context;
use super::convert::{string, text};
use super::engine::Engine;
use super::exception::{Halt, attempt};
use super::frame::Frame;
use super::introspection::analyze_module;
use super::kept::ModuleKey;
use super::modules;
use crate::js::{AnalyzedModule, Failure, Host, JsError, Limits};

/// See [`crate::js::prove`].
pub(in crate::js) fn prove(
    paths: &[&str],
    host: &mut dyn Host,
    limits: &Limits,
    import_unix_ms: f64,
) -> Result<Result<Vec<AnalyzedModule>, String>, Failure> {
    let engine = Engine::acquire(limits, None)?;
    let seed = super::call::import_seed(0);
    let mut frame = Frame::new(engine, host, None, limits.interrupt_pending, seed);
    frame.guarded = true;
    let ended = context::run(&frame, limits, import_unix_ms, |scope, runtime| {
        import_all(scope, &frame, paths)?;
        let analyzed = paths
            .iter()
            .map(|path| analyze_module(scope, &frame, runtime, path));
        analyzed.collect()
    });
    match ended {
        Ok(ended) => Ok(ended
            .result
            .map_err(|error| error.message.trim_end().to_owned())),
        // What it takes to look at the module is no reason to refuse it altogether.
        Err(Failure::TimedOut | Failure::OutOfMemory | Failure::StackDepth) => {
            Ok(Err("it takes too much to look at".to_owned()))
        }
        Err(failure) => Err(failure),
    }
}

/// Imports the module at `path` in the present, new context, and freezes all that the modules have made. The error
/// says why the context must not be shared.
pub(super) fn import(
    scope: &mut v8::PinScope<'_, '_>,
    frame: &Frame<'_>,
    path: &str,
) -> Result<(), Halt> {
    import_all(scope, frame, &[path])
}

/// The same of several modules, one after the other. If none is refused, each would not be by itself either: its state
/// is a part of what was looked at.
fn import_all(
    scope: &mut v8::PinScope<'_, '_>,
    frame: &Frame<'_>,
    paths: &[&str],
) -> Result<(), Halt> {
    let finish = attempt(scope, frame, |scope| {
        let runtime = &frame.engine.runtime;
        let nothing = v8::undefined(scope).into();
        runtime
            .evaluate(scope, "reuse")?
            .call(scope, nothing, &[])?;
        let harden = runtime.evaluate(scope, "harden")?.into();
        let guard = runtime.evaluate(scope, "guard")?;
        let is_generator = v8::Function::new(scope, is_generator)?.into();
        let finish = guard.call(scope, nothing, &[harden, is_generator])?;
        v8::Local::<v8::Function>::try_from(finish).ok()
    })?;
    for path in paths {
        modules::import(scope, frame, path).map_err(|halt| match (halt, frame.refusal.take()) {
            (Halt::Stopped, _) => Halt::Stopped,
            (Halt::Thrown(_), Some(reason)) => refused(reason),
            (Halt::Thrown(error), None) => refused(format!(
                "it cannot be imported while what is built in is frozen: {}",
                error.message.lines().next().unwrap_or_default()
            )),
        })?;
    }
    let refusal = attempt(scope, frame, |scope| {
        let spaces = modules::namespaces(scope, frame);
        let mut pairs = Vec::with_capacity(spaces.len());
        for (path, namespace) in spaces {
            let pair = [string(scope, &path)?.into(), namespace];
            pairs.push(v8::Array::new_with_elements(scope, &pair).into());
        }
        let spaces = v8::Array::new_with_elements(scope, &pairs);
        let nothing = v8::undefined(scope).into();
        let refusal = finish.call(scope, nothing, &[spaces.into()])?;
        Some((!refusal.is_undefined()).then(|| text(scope, refusal)))
    })?;
    if let Some(reason) = refusal {
        return Err(refused(reason.unwrap_or_default()));
    }
    if !frame.log_lines.borrow().is_empty() {
        return Err(refused(
            "it writes to the console while it is imported".to_owned(),
        ));
    }
    Ok(())
}

/// Whether something is a generator, which only V8 can tell: it may inherit from anything.
#[expect(clippy::needless_pass_by_value, reason = "the signature is V8's")]
fn is_generator(
    _scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_>,
) {
    result.set_bool(arguments.get(0).is_generator_object());
}

fn refused(reason: String) -> Halt {
    Halt::Thrown(JsError::plain(reason))
}

/// See [`crate::js::distrust`].
pub(in crate::js) fn distrust(deployment: i64, path: &str) {
    if let Some(engine) = super::engine::present() {
        remember(
            &engine,
            ModuleKey {
                deployment,
                path: path.to_owned(),
                guarded: true,
            },
        );
    }
}

/// Lets no more calls of a module share a context.
pub(super) fn remember(engine: &Engine, module: ModuleKey) {
    engine.kept.borrow_mut().forget(&module);
    let mut distrusted = engine.distrusted.borrow_mut();
    if !distrusted.contains(&module) {
        distrusted.push(module);
    }
}
