//! A host without a database, and calls of functions in it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::js::{self, Call, Host, HostError, Kind, Limits, ModuleSource, Outcome, Sharing};

/// Stands before the module `m.js`: functions as npm's server library makes them, with results in plain JSON.
const PRELUDE: &str = r#"
const register = (kind) => (handler) => Object.assign((...args) => handler(...args), {
  [`is${kind}`]: true, isPublic: true, _handler: handler,
  [`invoke${kind}`]: async (args) => JSON.stringify((await handler(...JSON.parse(args))) ?? null),
});
const query = register("Query");
const mutation = register("Mutation");
"#;

/// Seed of the calls.
pub(crate) const SEED: [u8; 32] = [7; 32];
/// Time of the calls: 2024-05-06T07:08:09.123Z.
pub(crate) const NOW: f64 = 1_714_979_289_123.0;
/// Time of the import of modules: 2024-01-01.
pub(crate) const IMPORTED: f64 = 1_704_067_200_000.0;

/// A database of nothing: modules, and syscalls that answer with their arguments.
#[derive(Default)]
struct World {
    modules: HashMap<String, ModuleSource>,
    /// The asynchronous syscalls in the order in which they were executed.
    executed: Vec<String>,
}

impl Host for World {
    fn module(&mut self, path: &str) -> Result<Option<ModuleSource>, HostError> {
        Ok(self.modules.get(path).cloned())
    }

    fn syscall(&mut self, op: &str, args: &str) -> Result<String, HostError> {
        match op {
            "echo" => Ok(args.to_owned()),
            _ => Err(HostError::js(format!("Unknown operation {op}"))),
        }
    }

    fn async_syscall(&mut self, op: &str, args: &str) -> Result<String, HostError> {
        self.executed.push(format!("{op} {args}"));
        match op {
            "fail" => Err(HostError::Js {
                message: format!("failed {args}"),
                data: None,
            }),
            // As a nested call fails: with an error that was thrown, uncaught, elsewhere.
            "nested" => Err(HostError::Js {
                message: "Uncaught Error: kaboom\n    at inner (../convex/inner.ts:3:9)\n"
                    .to_owned(),
                data: None,
            }),
            "executed" => Ok(serde_json::to_string(&self.executed).unwrap()),
            _ => Ok(args.to_owned()),
        }
    }

    fn environment_variable(&mut self, name: &str) -> Result<Option<String>, HostError> {
        Ok((name == "SET").then(|| "yes".to_owned()))
    }
}

fn fatal(reason: &str) -> ! {
    panic!("V8 gave up: {reason}");
}

fn limits() -> Limits {
    Limits {
        heap_bytes: 64 << 20,
        user_time: Duration::from_secs(20),
        stack_bytes: 1 << 20,
        result_bytes: 1 << 20,
        interrupt_pending: || false,
        fatal,
    }
}

/// A thread of its own has an engine of its own. JavaScript runs on one thread at a time.
pub(crate) fn on_new_thread<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    thread.spawn(body).unwrap().join().unwrap()
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs `body` on the thread that all tests share.
fn on_engine<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    static JOBS: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let (send, receive) = channel::<Job>();
        let thread = std::thread::Builder::new().stack_size(8 << 20);
        thread
            .spawn(move || receive.iter().for_each(|job| job()))
            .unwrap();
        Mutex::new(send)
    });
    let (answer, result) = channel();
    let job: Job = Box::new(move || answer.send(body()).unwrap());
    jobs.lock().unwrap().send(job).unwrap();
    result.recv().unwrap()
}

/// The engine keeps code by deployment, so each app needs its own number.
fn next_deployment() -> i64 {
    static DEPLOYMENTS: AtomicI64 = AtomicI64::new(2);
    DEPLOYMENTS.fetch_add(1, Ordering::Relaxed)
}

/// Modules by path, in a deployment of their own; the function called is `f` of `m.js`.
#[derive(Clone, Default)]
pub(crate) struct App {
    modules: Vec<(String, String, Option<String>)>,
}

impl App {
    /// An app of the module `m.js`, after the prelude.
    pub(crate) fn new(source: &str) -> Self {
        Self::default().with("m.js", &format!("{PRELUDE}{source}"), None)
    }

    /// With one more module, as it is.
    pub(crate) fn with(mut self, path: &str, source: &str, map: Option<&str>) -> Self {
        let map = map.map(ToOwned::to_owned);
        self.modules.push((path.to_owned(), source.to_owned(), map));
        self
    }

    /// Calls `f` as a query.
    pub(crate) fn call(self) -> Outcome {
        on_engine(move || self.invoke("m.js", "f", SEED, next_deployment()))
    }

    /// Calls an export of one of the modules as a query.
    pub(crate) fn call_export(self, module: &'static str, export: &'static str) -> Outcome {
        on_engine(move || self.invoke(module, export, SEED, next_deployment()))
    }

    /// Calls `f` on this thread, always in the same deployment.
    pub(crate) fn call_here(self, seed: [u8; 32]) -> Outcome {
        self.invoke("m.js", "f", seed, 1)
    }

    /// Why calls of a module must not share a context, if they must not.
    pub(crate) fn prove(self, module: &'static str) -> Result<(), String> {
        on_engine(move || {
            let proven = js::prove(&[module], &mut self.world(), &limits(), IMPORTED);
            proven.unwrap().map(drop)
        })
    }

    /// Calls an export three times, in one context from the second call on if that may be.
    pub(crate) fn call_shared(self, module: &'static str, export: &'static str) -> Vec<Outcome> {
        on_engine(move || {
            let deployment = next_deployment();
            let call = |seed: u8| {
                let app = self.clone();
                app.invoke_sharing(module, export, [seed; 32], deployment, Sharing::Proven)
            };
            (1..=3).map(call).collect()
        })
    }

    fn world(self) -> World {
        let mut world = World::default();
        for (path, source, map) in self.modules {
            let module = ModuleSource {
                source: source.into(),
                source_map: map.map(Into::into),
            };
            world.modules.insert(path, module);
        }
        world
    }

    fn invoke(self, module: &str, export: &str, seed: [u8; 32], deployment: i64) -> Outcome {
        self.invoke_sharing(module, export, seed, deployment, Sharing::Fresh)
    }

    fn invoke_sharing(
        self,
        module: &str,
        export: &str,
        seed: [u8; 32],
        deployment: i64,
        sharing: Sharing,
    ) -> Outcome {
        let mut world = self.world();
        let call = Call {
            deployment,
            module,
            export,
            kind: Kind::Query,
            args: "[{}]",
            now_unix_ms: NOW,
            seed,
            import_unix_ms: IMPORTED,
            sharing,
            image: None,
        };
        js::invoke(&call, &mut world, &limits()).unwrap()
    }
}

/// The result of the expression `body`, evaluated in a query.
pub(crate) fn eval(body: &str) -> serde_json::Value {
    let source = format!("export const f = query(async () => {{ return {body}; }});");
    let result = App::new(&source).call().result;
    serde_json::from_str(&result.unwrap_or_else(|error| panic!("{body}: {error}"))).unwrap()
}

/// The error of the statements `body` in a query.
pub(crate) fn error(body: &str) -> String {
    let source = format!("export const f = query(async () => {{ {body} }});");
    let error = App::new(&source).call().result.unwrap_err();
    error.message.lines().next().unwrap_or_default().to_owned()
}

/// Compares with a file of `golden/`; PG_LIVE_BLESS=1 writes the file instead.
pub(crate) fn assert_golden(name: &str, actual: &str) {
    let path = format!("{}/golden/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("PG_LIVE_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{path}");
}
