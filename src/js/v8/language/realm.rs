//! Contexts of functions in LANGUAGE js.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use deno_core::v8;

use super::super::convert::{short, string};
use super::super::engine::{self, Engine};
use super::super::runtime::Runtime;
use super::ops;
use crate::js::Routine;
use crate::js::routine::Version;

/// Most contexts kept. Each is for one role and one depth of nested calls.
const MAX_REALMS: usize = 16;
/// What precedes a body in the text that is compiled, on its first line.
pub(super) const PROLOGUE: &str = "\"use strict\";";
/// Begins the name of a body in V8's stack traces.
pub(super) const SCRIPT_SCHEME: &str = "pg_live:function:";

/// A hardened context.
pub(in crate::js::v8) struct Realm {
    role: u32,
    /// Depth of calls at which it serves: contexts share a microtask queue per depth.
    depth: usize,
    context: v8::Global<v8::Context>,
    runtime: v8::Global<v8::Object>,
    functions: RefCell<HashMap<u32, (Version, v8::Global<v8::Function>)>>,
}

impl Realm {
    /// The context of `role` at the present depth; `None` if it can not be made.
    pub(super) fn acquire(engine: &Engine, role: u32) -> Option<Rc<Self>> {
        let depth = engine.depth.get();
        let mut realms = engine.realms.borrow_mut();
        let fits = |realm: &Rc<Self>| realm.role == role && realm.depth == depth;
        if let Some(realm) = realms.iter().find(|realm| fits(realm)) {
            return Some(Rc::clone(realm));
        }
        if realms.len() >= MAX_REALMS {
            realms.retain(|realm| Rc::strong_count(realm) > 1);
        }
        drop(realms);
        let realm = Rc::new(Self::make(engine, role, depth)?);
        engine.realms.borrow_mut().push(Rc::clone(&realm));
        Some(realm)
    }

    fn make(engine: &Engine, role: u32, depth: usize) -> Option<Self> {
        let mut isolate = engine.isolate();
        v8::scope!(let scope, &mut isolate);
        let microtask_queue = Some(engine.queue());
        engine::count_context();
        let context = v8::Context::new(
            scope,
            v8::ContextOptions {
                microtask_queue,
                ..Default::default()
            },
        );
        let scope = &mut v8::ContextScope::new(scope, context);
        let operations = ops::object(scope)?;
        let nothing = v8::undefined(scope).into();
        let language = engine.runtime.evaluate(scope, "language")?;
        let runtime: v8::Local<v8::Object> = language
            .call(scope, nothing, &[operations.into()])?
            .try_into()
            .ok()?;
        engine
            .runtime
            .evaluate(scope, "harden")?
            .call(scope, nothing, &[])?;
        Some(Self {
            role,
            depth,
            context: v8::Global::new(scope, context),
            runtime: v8::Global::new(scope, runtime),
            functions: RefCell::default(),
        })
    }

    /// Depth of calls at which it serves.
    pub(in crate::js::v8) fn depth(&self) -> usize {
        self.depth
    }

    /// The context.
    pub(super) fn context(&self) -> &v8::Global<v8::Context> {
        &self.context
    }

    /// What the runtime's file gave.
    pub(super) fn runtime<'s>(&self, scope: &v8::PinScope<'s, '_, ()>) -> Runtime<'s> {
        Runtime(v8::Local::new(scope, &self.runtime))
    }

    /// The compiled function, if this version of it is there.
    pub(super) fn compiled<'s>(
        &self,
        scope: &v8::PinScope<'s, '_>,
        routine: &Routine,
    ) -> Option<v8::Local<'s, v8::Function>> {
        let functions = self.functions.borrow();
        let (version, function) = functions.get(&routine.id?)?;
        (*version == routine.version).then(|| v8::Local::new(scope, function))
    }

    /// Compiles the function; keeps it if it has a number. V8 has thrown if there is none.
    pub(super) fn compile<'s>(
        &self,
        scope: &v8::PinScope<'s, '_>,
        routine: &Routine,
    ) -> Option<v8::Local<'s, v8::Function>> {
        let name = string(scope, &format!("{SCRIPT_SCHEME}{}", routine.name))?;
        let origin = v8::ScriptOrigin::new(
            scope,
            name.into(),
            0,
            0,
            false,
            -1,
            None,
            false,
            false,
            false,
            None,
        );
        let source = string(scope, &format!("{PROLOGUE}{}", routine.source))?;
        let mut source = v8::script_compiler::Source::new(source, Some(&origin));
        let params: Option<Vec<v8::Local<v8::String>>> = routine
            .params
            .iter()
            .map(|param| string(scope, param))
            .collect();
        let function = v8::script_compiler::compile_function(
            scope,
            &mut source,
            &params?,
            &[],
            v8::script_compiler::CompileOptions::NoCompileOptions,
            v8::script_compiler::NoCacheReason::NoReason,
        )?;
        function.set_name(short(scope, ""));
        if let Some(id) = routine.id {
            let kept = (routine.version, v8::Global::new(scope, function));
            self.functions.borrow_mut().insert(id, kept);
        }
        Some(function)
    }
}
