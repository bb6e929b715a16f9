//! The runtime's own JavaScript: compiled once per isolate, run in every context.

use deno_core::v8;

use super::convert::{member, short};

/// Files that are evaluated when a context first touches one of their globals.
const FILES: [(&str, &str); 7] = [
    ("bootstrap", include_str!("../runtime/bootstrap.js")),
    ("crypto", include_str!("../runtime/crypto.js")),
    ("encoding", include_str!("../runtime/encoding.js")),
    ("events", include_str!("../runtime/events.js")),
    ("inspect", include_str!("../runtime/inspect.js")),
    ("storage", include_str!("../runtime/storage.js")),
    ("url", include_str!("../runtime/url.js")),
];

/// The compiled files.
pub(super) struct Scripts {
    compiled: Vec<(&'static str, v8::Global<v8::UnboundScript>)>,
}

impl Scripts {
    /// Compiles the files; `None` if one is no JavaScript.
    pub(super) fn compile(isolate: &mut v8::Isolate) -> Option<Self> {
        v8::scope!(let scope, isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        let mut compiled = Vec::with_capacity(FILES.len());
        for (name, source) in FILES {
            let script = compile(
                scope,
                &format!("{}{name}", crate::js::specifier::RUNTIME_SCHEME),
                source,
            )?;
            compiled.push((name, v8::Global::new(scope, script)));
        }
        Some(Self { compiled })
    }

    /// Evaluates a file in the present context: a function.
    pub(super) fn evaluate<'s>(
        &self,
        scope: &v8::PinScope<'s, '_>,
        name: &str,
    ) -> Option<v8::Local<'s, v8::Function>> {
        let (_, script) = self.compiled.iter().find(|(file, _)| *file == name)?;
        let script = v8::Local::new(scope, script);
        script
            .bind_to_current_context(scope)
            .run(scope)?
            .try_into()
            .ok()
    }
}

fn compile<'s>(
    scope: &v8::PinScope<'s, '_>,
    name: &str,
    source: &str,
) -> Option<v8::Local<'s, v8::UnboundScript>> {
    let name = short(scope, name);
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
    let source = v8::String::new(scope, source)?;
    let mut source = v8::script_compiler::Source::new(source, Some(&origin));
    v8::script_compiler::compile_unbound_script(
        scope,
        &mut source,
        v8::script_compiler::CompileOptions::NoCompileOptions,
        v8::script_compiler::NoCacheReason::NoReason,
    )
}

/// Makes V8 take the time zone of the environment, which it keeps from then on.
pub(super) fn fix_time_zone(isolate: &mut v8::Isolate) {
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    let source = short(scope, "new Date(0).getTimezoneOffset()");
    if let Some(script) = v8::Script::compile(scope, source, None) {
        let offset = script.run(scope).and_then(|value| value.int32_value(scope));
        debug_assert_eq!(offset, Some(0), "functions must see UTC");
    }
}

/// What the bootstrap gave for the present context.
#[derive(Clone, Copy)]
pub(super) struct Runtime<'s>(pub(super) v8::Local<'s, v8::Object>);

impl<'s> Runtime<'s> {
    /// Calls one of its functions.
    pub(super) fn call(
        self,
        scope: &v8::PinScope<'s, '_>,
        name: &str,
        args: &[v8::Local<'s, v8::Value>],
    ) -> Option<v8::Local<'s, v8::Value>> {
        let function: v8::Local<v8::Function> = member(scope, self.0, name)?.try_into().ok()?;
        function.call(scope, self.0.into(), args)
    }
}
