//! Evaluating the modules of a deployment for an image, in an isolate of its own.

use std::collections::HashMap;
use std::rc::Rc;

use deno_core::v8;

use super::super::call::import_seed;
use super::super::context;
use super::super::convert::{string, text};
use super::super::engine::Engine;
use super::super::exception::{Halt, attempt};
use super::super::frame::Frame;
use super::super::kept::{Keep, ModuleKey};
use super::super::modules;
use super::super::runtime::Runtime;
use super::file::{self, Module};
use super::make::Job;
use super::{EXPORTS_AT, Image, RUNTIME_AT};
use crate::js::{Failure, Host, HostError, JsError, ModuleSource};

/// The image of a deployment with the modules at `paths`; of `others` it says that they are not in it.
pub(super) fn evaluate(job: &Job, paths: &[&str], others: &[&str]) -> Result<Vec<u8>, Failure> {
    let survey = survey(job)?;
    let engine = Rc::new(Engine::for_image(&job.limits)?);
    set_default_context(&engine);
    let mut next = 0;
    let mut described = Vec::new();
    for path in paths {
        let module = evaluate_module(&engine, job, &survey, path, next);
        next += usize::from(module.context.is_some());
        described.push(module);
    }
    described.extend(others.iter().map(|path| not_in_it(path)));
    let snapshot = match next {
        0 => None,
        _ => Some(take_snapshot(engine)?),
    };
    let maps: Vec<(String, &str)> = job
        .code
        .modules
        .iter()
        .filter_map(|(path, module)| Some((path.clone(), &**module.source_map.as_ref()?)))
        .collect();
    Ok(file::assemble(described, &maps, snapshot.as_deref()))
}

fn not_in_it(path: &str) -> Module {
    Module {
        path: path.to_owned(),
        context: None,
        log_lines: Vec::new(),
    }
}

/// What there is in a context that is not to be stored.
fn survey(job: &Job) -> Result<String, Failure> {
    let engine = Rc::new(Engine::without_image(&job.limits)?);
    let mut host = Gathered::new(job);
    let seed = import_seed(job.deployment);
    let frame = Frame::new(engine, &mut host, None, || false, seed);
    let ended = context::run(&frame, &job.limits, job.import_unix_ms, |scope, _| {
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        let traps = traps(scope, &frame)?;
        let survey = attempt(scope, &frame, |scope| traps.call(scope, "survey", &[]))?;
        text(scope, survey).ok_or(Halt::Stopped)
    })?;
    ended.result.map_err(|error| Failure::Engine(error.message))
}

/// The file of the runtime that watches what an import looks at.
fn traps<'s>(scope: &mut v8::PinScope<'s, '_>, frame: &Frame<'_>) -> Result<Runtime<'s>, Halt> {
    let object = attempt(scope, frame, |scope| {
        let function = frame.engine.runtime.evaluate(scope, "image")?;
        let receiver = v8::undefined(scope);
        let object = function.call(scope, receiver.into(), &[])?;
        v8::Local::<v8::Object>::try_from(object).ok()
    })?;
    Ok(Runtime(object))
}

/// Copies each context of an image once, as calls will: V8 ends the process over one that it cannot complete.
pub(super) fn try_out(job: &Job, image: Image) -> Result<(), Failure> {
    let paths: Vec<String> = image.stored().map(ToOwned::to_owned).collect();
    let engine = Rc::new(Engine::with_image(&job.limits, image)?);
    for path in paths {
        let mut host = Gathered::new(job);
        let deployment = Some(job.deployment);
        let seed = import_seed(job.deployment);
        let mut frame = Frame::new(Rc::clone(&engine), &mut host, deployment, || false, seed);
        let deployment = job.deployment;
        frame.keep = Keep::Prepared(ModuleKey {
            deployment,
            path,
            guarded: false,
        });
        context::run(&frame, &job.limits, job.import_unix_ms, |_, _| match frame
            .exports
            .borrow()
            .is_some()
        {
            true => Ok(()),
            false => Err(Halt::Stopped),
        })?;
    }
    Ok(())
}

/// What contexts of no module begin with: V8's own globals.
fn set_default_context(engine: &Engine) {
    let mut isolate = engine.isolate();
    v8::scope!(let scope, &mut isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    scope.set_default_context(context);
}

/// Evaluates a module in a context that becomes the one of number `next`, unless it throws or is stopped.
fn evaluate_module(
    engine: &Rc<Engine>,
    job: &Job,
    survey: &str,
    path: &str,
    next: usize,
) -> Module {
    let mut host = Gathered::new(job);
    let seed = import_seed(job.deployment);
    let deployment = Some(job.deployment);
    let frame = Frame::new(Rc::clone(engine), &mut host, deployment, || false, seed);
    let added = context::run(&frame, &job.limits, job.import_unix_ms, |scope, runtime| {
        let traps = traps(scope, &frame)?;
        let survey = string(scope, survey).ok_or(Halt::Stopped)?.into();
        attempt(scope, &frame, |scope| {
            traps.call(scope, "setTraps", &[survey])
        })?;
        let exports = modules::import(scope, &frame, path)?;
        for (object, question) in [(traps, "takeTraps"), (runtime, "beforeImage")] {
            let answer = attempt(scope, &frame, |scope| object.call(scope, question, &[]))?;
            if !answer.is_true() || !frame.rejections.borrow().is_empty() {
                let message = "what the module does at import cannot be stored";
                return Err(Halt::Thrown(JsError::plain(message)));
            }
        }
        let context = scope.get_current_context();
        let runtime_at = scope.add_context_data(context, runtime.0);
        let exports_at = scope.add_context_data(context, exports);
        debug_assert_eq!((runtime_at, exports_at), (RUNTIME_AT, EXPORTS_AT));
        Ok(scope.add_context(context))
    });
    match added {
        Ok(ended) if ended.result.as_ref().is_ok_and(|at| *at == next) => Module {
            path: path.to_owned(),
            context: Some(next),
            log_lines: frame.log_lines.take().into_vec(),
        },
        _ => not_in_it(path),
    }
}

fn take_snapshot(engine: Rc<Engine>) -> Result<v8::StartupData, Failure> {
    let engine = Rc::into_inner(engine)
        .ok_or_else(|| Failure::Engine("the isolate of an image is still in use".to_owned()))?;
    engine
        .into_snapshot()
        .ok_or_else(|| Failure::Engine("V8 gave no snapshot".to_owned()))
}

/// The code that was gathered before, and nothing else: a module that asks for more at import is not stored.
struct Gathered<'a>(HashMap<&'a str, &'a ModuleSource>);

impl<'a> Gathered<'a> {
    fn new(job: &'a Job) -> Self {
        let modules = job.code.modules.iter();
        Self(modules.map(|(path, module)| (&**path, module)).collect())
    }
}

impl Host for Gathered<'_> {
    fn module(&mut self, path: &str) -> Result<Option<ModuleSource>, HostError> {
        Ok(self.0.get(path).map(|module| (*module).clone()))
    }

    fn syscall(&mut self, op: &str, _args: &str) -> Result<String, HostError> {
        Err(not_here(op))
    }

    fn async_syscall(&mut self, op: &str, _args: &str) -> Result<String, HostError> {
        Err(not_here(op))
    }

    fn environment_variable(&mut self, name: &str) -> Result<Option<String>, HostError> {
        Err(not_here(name))
    }
}

/// Ends the import.
fn not_here(what: &str) -> HostError {
    HostError::Fatal(Box::new(format!("{what} is not known to an image")))
}
