//! The modules of a deployment: compiled code kept between calls, and what one context has loaded of it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use deno_core::v8;

use super::convert::{short, string};
use super::exception::{Halt, attempt};
use super::frame::{Frame, HostFault, with_current};
use crate::js::JsError;
use crate::js::source_map::{LazyMap, MappedPosition, SourceMaps, unmapped};
use crate::js::specifier::{self, MODULE_SCHEME};

/// Deployments whose code is kept; a nested call may still run an older one.
const MAX_DEPLOYMENTS: usize = 2;

/// One module's text as V8 holds it, and its compiled form.
pub(super) struct CachedModule {
    source: v8::Global<v8::String>,
    map: Rc<LazyMap>,
    /// Keeps V8's compiled code alive; compiling the same text again then finds it.
    code: OnceCell<v8::Global<v8::UnboundModuleScript>>,
}

/// Modules of a deployment, by path and whether it is the guarded text.
type Modules = HashMap<(String, bool), Rc<CachedModule>>;

/// Code of the deployments that were called last.
#[derive(Default)]
pub(super) struct ModuleCache {
    deployments: Vec<(i64, Modules)>,
}

impl ModuleCache {
    fn get(&self, deployment: i64, path: &str, guarded: bool) -> Option<Rc<CachedModule>> {
        let (_, modules) = self
            .deployments
            .iter()
            .find(|(number, _)| *number == deployment)?;
        modules.get(&(path.to_owned(), guarded)).map(Rc::clone)
    }

    fn insert(&mut self, deployment: i64, path: String, guarded: bool, module: Rc<CachedModule>) {
        let position = self
            .deployments
            .iter()
            .position(|(number, _)| *number == deployment);
        let at = position.unwrap_or_else(|| {
            if self.deployments.len() == MAX_DEPLOYMENTS {
                self.deployments.remove(0);
            }
            self.deployments.push((deployment, HashMap::new()));
            self.deployments.len() - 1
        });
        self.deployments[at].1.insert((path, guarded), module);
    }

    /// Drops the code of every deployment but `keep`.
    pub(super) fn forget_others(&mut self, keep: i64) {
        self.deployments.retain(|(number, _)| *number == keep);
    }

    /// Modules kept.
    pub(super) fn len(&self) -> usize {
        self.deployments
            .iter()
            .map(|(_, modules)| modules.len())
            .sum()
    }
}

/// What the present context has loaded.
#[derive(Default)]
pub(super) struct Loaded {
    modules: Vec<LoadedModule>,
    /// The source maps of modules that came with an image.
    maps: Option<ImageMaps>,
}

/// Source maps by path.
pub(super) type ImageMaps = Rc<HashMap<String, LazyMap>>;

struct LoadedModule {
    path: String,
    /// None until it is compiled.
    module: Option<v8::Global<v8::Module>>,
    map: Rc<LazyMap>,
}

impl Loaded {
    /// What a context of an image has loaded.
    pub(super) fn of_image(maps: ImageMaps) -> Self {
        Self {
            modules: Vec::new(),
            maps: Some(maps),
        }
    }

    fn by_path(&self, path: &str) -> Option<&v8::Global<v8::Module>> {
        self.modules
            .iter()
            .find(|loaded| loaded.path == path)?
            .module
            .as_ref()
    }

    fn path_of(&self, module: v8::Local<'_, v8::Module>) -> Option<&str> {
        let found = self.modules.iter().find(|loaded| {
            loaded
                .module
                .as_ref()
                .is_some_and(|candidate| *candidate == module)
        });
        found.map(|loaded| loaded.path.as_str())
    }
}

impl SourceMaps for Loaded {
    fn map(&self, script: &str, line: u32, column: u32) -> MappedPosition {
        let known = |path: &str| match self.modules.iter().find(|loaded| loaded.path == path) {
            Some(loaded) => Some(&*loaded.map),
            None => self.maps.as_ref()?.get(path),
        };
        let Some(map) = script.strip_prefix(MODULE_SCHEME).and_then(known) else {
            return unmapped(script, line, column);
        };
        let column = map.original_column(line, column);
        map.lookup(line, column)
            .unwrap_or_else(|| unmapped(script, line, column))
    }
}

/// The exports of the module at `path`, which is imported if the context did not come with it.
pub(super) fn exports<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    path: &str,
) -> Result<v8::Local<'s, v8::Object>, Halt> {
    if let Some(exports) = frame.exports.borrow().as_ref() {
        return Ok(v8::Local::new(scope, exports));
    }
    let exports = import(scope, frame, path)?;
    frame.exports.replace(Some(v8::Global::new(scope, exports)));
    Ok(exports)
}

/// The namespaces of what is loaded, by path.
pub(super) fn namespaces<'s>(
    scope: &v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
) -> Vec<(String, v8::Local<'s, v8::Value>)> {
    let loaded = frame.loaded.borrow();
    let namespace = |loaded: &LoadedModule| {
        let module = v8::Local::new(scope, loaded.module.as_ref()?);
        Some((loaded.path.clone(), module.get_module_namespace()))
    };
    loaded.modules.iter().filter_map(namespace).collect()
}

/// Imports the module at `path` and what it imports; gives its exports.
pub(super) fn import<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    path: &str,
) -> Result<v8::Local<'s, v8::Object>, Halt> {
    let module = load_graph(scope, frame, path)?;
    attempt(scope, frame, |scope| {
        module.instantiate_module(scope, resolve)
    })?;
    let promise = attempt(scope, frame, |scope| module.evaluate(scope))?;
    super::call::checkpoint(scope, frame)?;
    if module.get_status() == v8::ModuleStatus::Errored {
        let exception = module.get_exception();
        // The promise of the evaluation is rejected with it; nobody else will look at that.
        if let Ok(promise) = v8::Local::<v8::Promise>::try_from(promise) {
            promise.mark_as_handled();
        }
        return Err(super::exception::describe(scope, frame, exception, None));
    }
    if let Ok(promise) = v8::Local::<v8::Promise>::try_from(promise)
        && promise.state() == v8::PromiseState::Pending
    {
        return Err(thrown(format!("Top-level await in \"{path}\" never ends.")));
    }
    attempt(scope, frame, |_| {
        module.get_module_namespace().try_into().ok()
    })
}

/// Loads `path` and, transitively, the modules it imports.
fn load_graph<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    path: &str,
) -> Result<v8::Local<'s, v8::Module>, Halt> {
    let root = load(scope, frame, path)?.ok_or_else(|| missing(path))?;
    let mut open = vec![(path.to_owned(), root)];
    while let Some((referrer, module)) = open.pop() {
        for specifier in imports(scope, module) {
            let not_held = || {
                thrown(format!(
                    "\"{referrer}\" imports \"{specifier}\", which the bundle does not hold."
                ))
            };
            let target = specifier::resolve(&referrer, &specifier).ok_or_else(not_held)?;
            if frame.loaded.borrow().by_path(&target).is_none() {
                let module = load(scope, frame, &target)?.ok_or_else(|| {
                    if specifier.starts_with('.') {
                        missing(&target)
                    } else {
                        not_held()
                    }
                })?;
                open.push((target, module));
            }
        }
    }
    Ok(root)
}

fn missing(path: &str) -> Halt {
    thrown(format!(
        "Couldn't find JavaScript module '{path}'. Did you forget to run `npx convex dev`?"
    ))
}

fn thrown(message: String) -> Halt {
    Halt::Thrown(JsError::plain(message))
}

/// The specifiers that a module imports.
fn imports(scope: &v8::PinScope<'_, '_>, module: v8::Local<'_, v8::Module>) -> Vec<String> {
    let requests = module.get_module_requests();
    (0..requests.length())
        .filter_map(|i| requests.get(scope, i))
        .filter_map(|data| v8::Local::<v8::ModuleRequest>::try_from(data).ok())
        .map(|request| request.get_specifier().to_rust_string_lossy(scope))
        .collect()
}

/// The module at `path` in the present context, compiled; `None` if the deployment has none there.
fn load<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    frame: &Frame<'_>,
    path: &str,
) -> Result<Option<v8::Local<'s, v8::Module>>, Halt> {
    if let Some(module) = frame.loaded.borrow().by_path(path) {
        return Ok(Some(v8::Local::new(scope, module)));
    }
    let Some(cached) = fetch(scope, frame, path)? else {
        return Ok(None);
    };
    // Listed before it is compiled, so that the positions of its syntax errors are mapped.
    let at = frame.loaded.borrow().modules.len();
    frame.loaded.borrow_mut().modules.push(LoadedModule {
        path: path.to_owned(),
        module: None,
        map: Rc::clone(&cached.map),
    });
    let source = v8::Local::new(scope, &cached.source);
    let module = attempt(scope, frame, |scope| compile(scope, path, source))?;
    cached
        .code
        .get_or_init(|| v8::Global::new(scope, module.get_unbound_module_script(scope)));
    frame.loaded.borrow_mut().modules[at].module = Some(v8::Global::new(scope, module));
    Ok(Some(module))
}

/// The text of the module at `path`, from the cache or from the host.
fn fetch(
    scope: &v8::PinScope<'_, '_>,
    frame: &Frame<'_>,
    path: &str,
) -> Result<Option<Rc<CachedModule>>, Halt> {
    if let Some(number) = frame.deployment
        && let Some(cached) = frame
            .engine
            .modules
            .borrow()
            .get(number, path, frame.guarded)
    {
        return Ok(Some(cached));
    }
    // What the host has told once it need not be asked again.
    let plain = frame
        .deployment
        .filter(|_| frame.guarded)
        .and_then(|number| frame.engine.modules.borrow().get(number, path, false));
    if let Some(plain) = plain {
        let text = v8::Local::new(scope, &plain.source).to_rust_string_lossy(scope);
        let map = Rc::clone(&plain.map);
        return cache(scope, frame, path, &text.into(), map).map(Some);
    }
    let module = match frame.call_host(|host| host.module(path)) {
        Ok(Some(module)) => module,
        Ok(None) => return Ok(None),
        Err(HostFault::Stopped) => return Err(Halt::Stopped),
        Err(HostFault::Js { message, .. }) => return Err(thrown(message)),
    };
    let map = Rc::new(LazyMap::new(module.source_map));
    cache(scope, frame, path, &module.source, map).map(Some)
}

/// Puts the text of a module into the cache, guarded if the frame wants it so.
fn cache(
    scope: &v8::PinScope<'_, '_>,
    frame: &Frame<'_>,
    path: &str,
    source: &Arc<str>,
    map: Rc<LazyMap>,
) -> Result<Rc<CachedModule>, Halt> {
    let (text, map) = if frame.guarded {
        let guarded = pg_live_guard::guard(source).map_err(|refusal| {
            let message = refusal.to_string();
            frame.refusal.replace(Some(message.clone()));
            thrown(message)
        })?;
        (guarded.source.into(), Rc::new(map.shifted(guarded.shifts)))
    } else {
        (Arc::clone(source), map)
    };
    let source =
        string(scope, &text).ok_or_else(|| thrown(format!("Module \"{path}\" is too large.")))?;
    let cached = Rc::new(CachedModule {
        source: v8::Global::new(scope, source),
        map,
        code: OnceCell::new(),
    });
    if let Some(number) = frame.deployment {
        frame.engine.modules.borrow_mut().insert(
            number,
            path.to_owned(),
            frame.guarded,
            Rc::clone(&cached),
        );
    }
    Ok(cached)
}

fn compile<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    path: &str,
    source: v8::Local<'s, v8::String>,
) -> Option<v8::Local<'s, v8::Module>> {
    let name = short(scope, &format!("{MODULE_SCHEME}{path}"));
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
        true,
        None,
    );
    let mut source = v8::script_compiler::Source::new(source, Some(&origin));
    v8::script_compiler::compile_module(scope, &mut source)
}

/// V8's callback at a dynamic `import()`: refused, since what runs must not depend on when it is loaded.
pub(super) fn refuse_dynamic_import<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _options: v8::Local<'s, v8::Data>,
    _referrer: v8::Local<'s, v8::Value>,
    specifier: v8::Local<'s, v8::String>,
    _attributes: v8::Local<'s, v8::FixedArray>,
) -> Option<v8::Local<'s, v8::Promise>> {
    let specifier = specifier.to_rust_string_lossy(scope);
    let message = short(
        scope,
        &format!(
            "NoDynamicImport: Can't use dynamic import() in queries and mutations: import \"{specifier}\" at the top \
             of the file."
        ),
    );
    let resolver = v8::PromiseResolver::new(scope)?;
    let error = v8::Exception::type_error(scope, message);
    resolver.reject(scope, error);
    Some(resolver.get_promise(scope))
}

/// V8's callback that finds an imported module; all of them are loaded before.
fn resolve<'s>(
    context: v8::Local<'s, v8::Context>,
    specifier: v8::Local<'s, v8::String>,
    _attributes: v8::Local<'s, v8::FixedArray>,
    referrer: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Module>> {
    // SAFETY: V8 calls this with the context that is entered.
    v8::callback_scope!(unsafe scope, context);
    let specifier = specifier.to_rust_string_lossy(scope);
    with_current(|frame| {
        let loaded = frame.loaded.borrow();
        let path = specifier::resolve(loaded.path_of(referrer)?, &specifier)?;
        loaded
            .by_path(&path)
            .map(|module| v8::Local::new(scope, module))
    })
    .flatten()
}
