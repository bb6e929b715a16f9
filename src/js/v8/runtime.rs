//! The runtime's own JavaScript: each file compiled once per isolate, run in every context that needs it.

use std::cell::OnceCell;

use deno_core::v8;

use super::convert::{member, short};

/// The files: expressions, each a function. Those of `bundles/` are made of npm packages by `web/build.mjs`.
const FILES: [(&str, &str); 19] = [
    ("blob", include_str!("../runtime/blob.js")),
    ("bootstrap", include_str!("../runtime/bootstrap.js")),
    ("clock", include_str!("../runtime/clock.js")),
    ("crypto", include_str!("../runtime/crypto.js")),
    ("crypto_keys", include_str!("../runtime/crypto_keys.js")),
    ("encoding", include_str!("../runtime/encoding.js")),
    ("events", include_str!("../runtime/events.js")),
    ("fetch", include_str!("../runtime/fetch.js")),
    ("guard", include_str!("../runtime/guard.js")),
    ("harden", include_str!("../runtime/harden.js")),
    ("image", include_str!("../runtime/image.js")),
    ("inspect", include_str!("../runtime/bundles/inspect.js")),
    ("language", include_str!("../runtime/language.js")),
    ("multipart", include_str!("../runtime/multipart.js")),
    ("performance", include_str!("../runtime/performance.js")),
    ("reuse", include_str!("../runtime/reuse.js")),
    ("storage", include_str!("../runtime/storage.js")),
    ("streams", include_str!("../runtime/bundles/streams.js")),
    ("url", include_str!("../runtime/url.js")),
];

/// The files, compiled when they are first needed.
#[derive(Default)]
pub(super) struct Scripts {
    compiled: [OnceCell<v8::Global<v8::UnboundScript>>; FILES.len()],
}

impl Scripts {
    /// Evaluates a file in the present context: a function.
    pub(super) fn evaluate<'s>(
        &self,
        scope: &v8::PinScope<'s, '_>,
        name: &str,
    ) -> Option<v8::Local<'s, v8::Function>> {
        let at = FILES.iter().position(|(file, _)| *file == name)?;
        let script = match self.compiled[at].get() {
            Some(script) => v8::Local::new(scope, script),
            None => {
                let name = format!("{}{name}", crate::js::specifier::RUNTIME_SCHEME);
                let script = compile(scope, &name, FILES[at].1)?;
                self.compiled[at].get_or_init(|| v8::Global::new(scope, script));
                script
            }
        };
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
    source: &'static str,
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
    // Not copied into the heap: the texts are ASCII and part of the library.
    let source = v8::String::new_external_onebyte_static(scope, source.as_bytes())?;
    let mut source = v8::script_compiler::Source::new(source, Some(&origin));
    v8::script_compiler::compile_unbound_script(
        scope,
        &mut source,
        v8::script_compiler::CompileOptions::NoCompileOptions,
        v8::script_compiler::NoCacheReason::NoReason,
    )
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
