//! The V8 host: runs the TypeScript functions of a deployment inside a Postgres backend.
//!
//! Nothing here knows Postgres. What a running function can reach comes in through [`Host`]; what it
//! returns, logs or throws goes out as an [`Outcome`]. V8 starts at the first call of a process (never
//! before a fork), lives on the calling thread and is never torn down; `v8/` alone holds unsafe code.
//!
//! A call gets a V8 context of its own with the deployment's modules evaluated anew, so nothing of one call
//! can be seen by another (unless the call says that it may: [`Call::sharing`]). Such contexts are made
//! ahead, between statements ([`between_statements`]). Calls nest: a host call may run SQL that calls [`invoke`]
//! again.

mod analysis;
mod crypto;
mod error;
mod image;
mod json_text;
mod log_lines;
mod routine;
mod source_map;
mod specifier;
mod stack_trace;
mod v8;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use analysis::AnalyzedModule;
pub(crate) use error::{Failure, HostError, JsError, ModuleFailure};
pub(crate) use image::{Code, ImagePlace};
pub(crate) use routine::{
    Data, Level, Names, Returns, Routine, Rows, ScriptError, Shape, Statement, Version,
    call_routine, check_routine,
};

/// The code of one module of a deployment, as the bundler wrote it.
#[derive(Clone, Debug)]
pub(crate) struct ModuleSource {
    /// JavaScript, an ES module.
    pub source: Arc<str>,
    /// Source map (JSON, version 3); without it stack traces name positions of the bundle.
    pub source_map: Option<Arc<str>>,
}

/// What a running function can reach, implemented by the extension.
///
/// Every method may panic (a Postgres ERROR arrives as a panic): the panic is caught before it meets a
/// frame of V8, the function is terminated, and the payload comes back as [`Failure::Host`].
pub(crate) trait Host {
    /// The module of the deployment at `path`, or `None` if there is none. Asked once per module and
    /// deployment as long as the engine keeps the code.
    fn module(&mut self, path: &str) -> Result<Option<ModuleSource>, HostError>;

    /// `Convex.syscall`: JSON in, JSON out, at once.
    fn syscall(&mut self, op: &str, args: &str) -> Result<String, HostError>;

    /// `Convex.asyncSyscall`: called one at a time in the order of the calls in JavaScript, between two
    /// microtask checkpoints; it may call [`invoke`] again.
    fn async_syscall(&mut self, op: &str, args: &str) -> Result<String, HostError>;

    /// `process.env.NAME` of the deployment.
    fn environment_variable(&mut self, name: &str) -> Result<Option<String>, HostError>;

    /// Called on the calling thread, in the middle of JavaScript, when [`Limits::interrupt_pending`]
    /// said yes: serve the interrupts (Postgres: CHECK_FOR_INTERRUPTS, an ERROR of which arrives as a
    /// panic) and say whether to go on. JavaScript must not be called from here.
    fn serve_interrupts(&mut self) -> Interrupts {
        Interrupts::Stop
    }

    /// All code of the deployment, for an image of it. Asked after a call, now and then.
    fn code(&mut self) -> Result<Code, HostError> {
        Err(HostError::js("there is no deployment here"))
    }

    /// Prepares a statement that a function in LANGUAGE js wants to run.
    fn prepare(&mut self, _sql: &str) -> Result<Statement, HostError> {
        Err(HostError::js("statements can not be run here"))
    }

    /// Runs a statement of [`Host::prepare`]; one parameter for each that it has.
    fn execute(&mut self, _statement: &Statement, _params: Vec<Data>) -> Result<Rows, HostError> {
        Err(HostError::js("statements can not be run here"))
    }

    /// Takes the next row of a function that returns a set.
    fn emit(&mut self, _row: Data) -> Result<(), HostError> {
        Err(HostError::js("the function does not return a set"))
    }

    /// Tells the client what a function in LANGUAGE js writes to the console.
    fn notice(&mut self, _level: Level, _text: &str) -> Result<(), HostError> {
        Ok(())
    }

    /// The time that a function in LANGUAGE js sees, in milliseconds since 1970.
    fn now_unix_ms(&mut self) -> Result<f64, HostError> {
        Ok(0.0)
    }
}

/// What [`Host::serve_interrupts`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupts {
    /// They are served; the function goes on.
    Continue,
    /// The function ends with [`Failure::Interrupted`].
    Stop,
}

/// Which kind of function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `query(...)`: reads only.
    Query,
    /// `mutation(...)`: reads and writes.
    Mutation,
}

/// One call of a function of a deployment.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    /// Number of the deployment with its environment; the engine caches code under it, so neither must ever change.
    pub deployment: i64,
    /// Path of the module, with `.js`.
    pub module: &'a str,
    /// Name of the export, `default` for the default export.
    pub export: &'a str,
    /// Kind the caller wants to run; the export must be of this kind.
    pub kind: Kind,
    /// JSON text of an array that holds the one arguments object.
    pub args: &'a str,
    /// Time the function sees, in milliseconds since 1970 (cut to whole ones).
    pub now_unix_ms: f64,
    /// Seed of the function's random numbers.
    pub seed: [u8; 32],
    /// Time that module code sees while it is imported: of the deployment, so that a result does not
    /// depend on the clock unless the function itself looks at it.
    pub import_unix_ms: f64,
    /// Whether it may take a context that has served other calls of the module, which saves most of its cost.
    pub sharing: Sharing,
    /// Where the image of the deployment is, or is to be made: without it, modules are evaluated in every call.
    pub image: Option<&'a ImagePlace>,
}

/// Whether calls of a module share a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Each has its own.
    Fresh,
    /// The module asks for it: a function sees what earlier calls left in module variables.
    Asked,
    /// [`prove`] found that nothing could be left. All that the module made while it was imported is frozen: a
    /// function that tries to change some of it fails, and has to be called again with [`Sharing::Fresh`].
    Proven,
}

/// Bounds of a call.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// JavaScript heap in bytes; array buffers may take as much again. A change makes a new engine, at the next
    /// call that is not nested in another.
    pub heap_bytes: usize,
    /// Processor time JavaScript may use, host calls not counted.
    pub user_time: Duration,
    /// How far from the base of the thread's stack JavaScript may reach, in bytes. Keep it below what
    /// Postgres itself allows (`max_stack_depth`), so that deep recursion is a RangeError in JavaScript. The
    /// value of the process's first call stays in force.
    pub stack_bytes: usize,
    /// Longest result in bytes of JSON.
    pub result_bytes: usize,
    /// Whether the server wants to interrupt this process. Called from another thread every two
    /// milliseconds while JavaScript runs: may only read a flag.
    pub interrupt_pending: fn() -> bool,
    /// Called on the calling thread, below frames of V8, when V8 can not go on (it would abort the process,
    /// and so restart the whole server). Must end the process in an orderly way (Postgres: FATAL).
    pub fatal: fn(reason: &str) -> !,
}

/// What of the outside a function has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The clock.
    pub time: bool,
    /// Random numbers.
    pub randomness: bool,
}

/// A call that ran to its end.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The function's result as JSON text, or what it threw.
    pub result: Result<String, JsError>,
    /// Lines written to the console, like `[LOG] 'x'`.
    pub log_lines: Vec<String>,
    /// What the function looked at.
    pub observed: Observed,
    /// Processor time spent in JavaScript.
    pub user_time: Duration,
    /// Whether it ran in a context whose objects are frozen ([`Sharing::Proven`]).
    pub guarded: bool,
}

/// Figures about the engine of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EngineStats {
    /// Whether V8 has been started in this process.
    pub started: bool,
    /// Time the start took.
    pub first_start: Duration,
    /// Bytes of the JavaScript heap in use.
    pub heap_used: usize,
    /// Bytes of the JavaScript heap obtained from the system.
    pub heap_total: usize,
    /// Bytes of array buffers.
    pub array_buffers: usize,
    /// Contexts made so far.
    pub contexts_made: u64,
    /// Isolates made so far: more than one after a heap that could not be brought down.
    pub isolates_made: u64,
    /// Modules whose code is cached.
    pub cached_modules: usize,
    /// Modules that need not be evaluated in calls, because they are in the image that the engine started from.
    pub image_modules: usize,
    /// Modules of that deployment that could not be put into it.
    pub modules_left_out: usize,
}

/// Runs one function to its end.
///
/// # Errors
/// [`Failure`] when the function was stopped from outside; nothing it did may be kept then. What the
/// function itself throws is in [`Outcome::result`].
pub(crate) fn invoke(
    call: &Call<'_>,
    host: &mut dyn Host,
    limits: &Limits,
) -> Result<Outcome, Failure> {
    v8::invoke(call, host, limits)
}

/// Adds lines to those of the call whose host call is running: what a call nested in it has logged.
pub(crate) fn append_log_lines(lines: Vec<String>) {
    v8::append_log_lines(lines);
}

/// Imports every one of `modules` (paths) and lists the functions they export.
///
/// # Errors
/// [`ModuleFailure::Module`] names the module that does not compile or whose code throws.
pub(crate) fn analyze(
    modules: &[&str],
    host: &mut dyn Host,
    limits: &Limits,
    import_unix_ms: f64,
) -> Result<Vec<AnalyzedModule>, ModuleFailure> {
    v8::analyze(modules, host, limits, import_unix_ms)
}

/// Evaluates a schema module: `default.export()`, a JSON text.
///
/// # Errors
/// As [`analyze`].
pub(crate) fn evaluate_schema(
    path: &str,
    host: &mut dyn Host,
    limits: &Limits,
    import_unix_ms: f64,
) -> Result<String, ModuleFailure> {
    v8::evaluate_schema(path, host, limits, import_unix_ms)
}

/// Evaluates `auth.config.js`: the JSON text of its default export.
///
/// # Errors
/// As [`analyze`].
pub(crate) fn evaluate_auth_config(
    path: &str,
    host: &mut dyn Host,
    limits: &Limits,
    import_unix_ms: f64,
) -> Result<String, ModuleFailure> {
    v8::evaluate_auth_config(path, host, limits, import_unix_ms)
}

/// Imports modules, together, to find out whether calls of each can share a context ([`Sharing::Proven`]), and lists
/// the functions that they export; else says why not those of one of them.
///
/// # Errors
/// [`Failure`] when the host stopped it.
pub(crate) fn prove(
    paths: &[&str],
    host: &mut dyn Host,
    limits: &Limits,
    import_unix_ms: f64,
) -> Result<Result<Vec<AnalyzedModule>, String>, Failure> {
    v8::prove(paths, host, limits, import_unix_ms)
}

/// Gives back the heap of this process, unless a call runs: the next call begins with a new one.
pub(crate) fn discard() {
    v8::discard();
}

/// Lets no more calls of a module share a context, whatever [`prove`] found.
pub(crate) fn distrust(deployment: i64, path: &str) {
    v8::distrust(deployment, path);
}

/// Makes ready for the calls to come: collects garbage, makes contexts for the modules that were called last.
/// To be called between statements, outside of a transaction. Asks `go_on` before each longer step.
pub(crate) fn between_statements(go_on: fn() -> bool) {
    v8::between_statements(go_on);
}

/// Notes which build of this code runs. To be called when it is loaded: its file may be replaced later.
pub(crate) fn loaded() {
    v8::library_identity();
}

/// Drops the cached code of every deployment but `keep`.
pub(crate) fn forget_others(keep: i64) {
    v8::forget_others(keep);
}

/// Figures about the engine of this process.
#[must_use]
pub(crate) fn stats() -> EngineStats {
    v8::stats()
}
