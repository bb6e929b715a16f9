//! Running one call from its path and arguments to its result.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use pg_live_readset::ReadSet;
use pg_live_values::{FunctionPath, Value, limits};
use serde_json::Value as Json;

use crate::documents::catalog::{Catalog, Function, FunctionKind};
use crate::documents::create;
use crate::error::{Error, Result};
use crate::functions::execution::Execution;
use crate::functions::pages::Pages;
use crate::functions::sharing;
use crate::functions::system;
use crate::functions::usage::Resource;
use crate::gucs;
use crate::journal;
use crate::js::{self, Call, Failure, JsError, Kind, Limits, Outcome};
use crate::pg::after_reply;
use crate::pg::session::{self, SettingsUndone, UserGuard};
use crate::pg::shmem::{self, Counter};
use crate::pg::spi::Access;
use crate::reads::{self, Address};

/// Who may call what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Someone with rights in SQL: internal functions too.
    Sql,
    /// A client, through the relay: public functions only.
    Client,
    /// The relay for its administrator: internal functions too.
    Admin,
    /// Another function: internal functions too.
    Function,
}

/// A call to run.
pub(crate) struct Request<'a> {
    /// `messages:list`
    pub(crate) path: &'a str,
    /// JSON: the array with one object.
    pub(crate) args: &'a str,
    /// JSON of the caller's identity.
    pub(crate) identity: Option<String>,
    /// What the function must be.
    pub(crate) kind: FunctionKind,
    /// Who asks.
    pub(crate) caller: Caller,
    /// Of an earlier run of the same call: where its pages ended.
    pub(crate) journal: Option<String>,
}

/// What a call gave.
pub(crate) struct Response {
    /// JSON text of the value, or the function's error.
    pub(crate) result: std::result::Result<String, JsError>,
    /// What the function logged.
    pub(crate) log_lines: Vec<String>,
    /// What it read.
    pub(crate) reads: ReadSet,
    /// Why it cannot follow all that it read.
    pub(crate) not_live: Option<String>,
    /// What else the result depends on.
    pub(crate) observed: Observed,
    /// Where its pages ended; `None` if it read none.
    pub(crate) journal: Option<String>,
}

/// What of the outside a function looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Observed {
    /// The clock.
    pub(crate) time: bool,
    /// Random numbers.
    pub(crate) randomness: bool,
    /// Who the caller is.
    pub(crate) identity: bool,
}

impl Observed {
    fn join(&mut self, other: js::Observed) {
        self.time |= other.time;
        self.randomness |= other.randomness;
    }
}

/// Runs a call. Errors of the function are in the response; the rest (interrupts, limits, Postgres
/// errors) is an error or a panic. The journal gets all of it.
pub(crate) fn run(request: &Request<'_>) -> Result<Response> {
    run_for(request, None)
}

/// As [`run`], for a client's request, whose session and number are known.
pub(crate) fn run_for(request: &Request<'_>, key: Option<&(String, i64)>) -> Result<Response> {
    let begun = Instant::now();
    let mut noted = Noted::default();
    let result = catch_unwind(AssertUnwindSafe(|| execute(request, &mut noted)));
    noted.figures.duration = begun.elapsed();
    match &result {
        Ok(Ok(response)) => match &response.result {
            Ok(_) => noted.leave(request, key, journal::Outcome::Success, &response.log_lines),
            Err(error) => {
                let outcome = journal::Outcome::Error(&error.message);
                noted.leave(request, key, outcome, &response.log_lines);
            }
        },
        Ok(Err(error)) => noted.leave(
            request,
            key,
            journal::Outcome::Error(&error.to_string()),
            &[],
        ),
        Err(payload) => {
            let message = session::describe(payload.as_ref()).message;
            noted.leave(request, key, journal::Outcome::Error(&message), &[]);
        }
    }
    result.unwrap_or_else(|payload| resume_unwind(payload))
}

/// What the journal is told of a call beside its end.
#[derive(Default)]
struct Noted {
    deployment: Option<i64>,
    function: Option<String>,
    found: bool,
    figures: journal::Figures,
}

impl Noted {
    fn leave(
        &self,
        request: &Request<'_>,
        key: Option<&(String, i64)>,
        outcome: journal::Outcome<'_>,
        lines: &[String],
    ) {
        journal::leave(&journal::Entry {
            unix_us: session::now_us(),
            deployment: self.deployment,
            function: self.function.as_deref().unwrap_or(request.path),
            found: self.found,
            kind: match request.kind {
                FunctionKind::Query => "query",
                FunctionKind::Mutation => "mutation",
                FunctionKind::Action => "action",
            },
            caller: match request.caller {
                Caller::Sql => "sql",
                Caller::Client => "client",
                Caller::Admin => "admin",
                Caller::Function => "function",
            },
            request: key,
            outcome,
            figures: self.figures,
            lines,
        });
    }
}

fn execute(request: &Request<'_>, noted: &mut Noted) -> Result<Response> {
    // A query has no effect; the next one in the session may be somebody else's.
    let _settings = (request.kind == FunctionKind::Query).then(SettingsUndone::new);
    let access = match request.kind {
        FunctionKind::Query => Access::Read,
        FunctionKind::Mutation | FunctionKind::Action => Access::Write,
    };
    let definer = session::current_user();
    let catalog = Catalog::current(access)?;
    let sql = sql_function(&catalog, request);
    if catalog.deployment.is_none() && request.caller == Caller::Sql && sql.is_none() {
        return Err(Error::NothingDeployed);
    }
    let path = FunctionPath::parse(request.path);
    let name = path
        .as_ref()
        .map_or_else(|_| request.path.to_owned(), FunctionPath::stripped);
    noted.deployment = catalog.deployment;
    noted.function = Some(name.clone());
    let identity = request.identity.clone();
    let mut execution = Execution::new(Rc::clone(&catalog), request.kind, name, identity, definer);
    execution.pages = Pages::new(request.journal.clone());
    if let Ok(path) = &path
        && matches!(request.caller, Caller::Admin | Caller::Sql)
        && request.kind == FunctionKind::Query
        && system::is_system(path)
    {
        return run_system(execution, path, request.args);
    }
    if let Some(address) = sql {
        noted.found = true;
        let result = call_sql(&mut execution, &address, request)?;
        return Ok(finished(execution, result, Vec::new()));
    }
    let target = path.map_err(|error| error.to_string()).and_then(|path| {
        let args = arguments(request.args)?;
        Target::find(&catalog, path, request.kind, request.caller, args)
    });
    let (result, log_lines) = match target {
        Ok(target) => {
            noted.found = true;
            let seed = execution.seed();
            let outcome = {
                let _user = UserGuard::become_user(create::owner_oid(&catalog)?);
                call(&mut execution, &target, seed)
            };
            noted.figures.documents_read = execution.usage.used(Resource::DocumentsRead);
            noted.figures.documents_written = execution.usage.used(Resource::DocumentsWritten);
            let mut outcome = outcome.map_err(failure)?;
            outcome.log_lines.append(&mut execution.usage.warnings());
            (outcome.result, outcome.log_lines)
        }
        Err(message) => (Err(JsError::plain(message)), Vec::new()),
    };
    Ok(finished(execution, result, log_lines))
}

/// A call that has ended, with all that it has read.
pub(crate) fn finished(
    mut execution: Execution,
    result: std::result::Result<String, JsError>,
    log_lines: Vec<String>,
) -> Response {
    let observed = execution.observed;
    let not_live = execution.not_live.take();
    let (reads, journal) = execution.into_reads();
    Response {
        result,
        log_lines,
        observed,
        not_live,
        reads,
        journal,
    }
}

/// Whether a query's path names a function of SQL, whose own rights count, and not one of the deployment.
pub(crate) fn is_sql_function(path: &str) -> Result<bool> {
    let catalog = Catalog::current(Access::Read)?;
    let request = Request {
        path,
        args: "{}",
        identity: None,
        kind: FunctionKind::Query,
        caller: Caller::Sql,
        journal: None,
    };
    Ok(sql_function(&catalog, &request).is_some())
}

/// As [`run`], for what will be rolled back: it is not noted.
pub(crate) fn rehearse(request: &Request<'_>) -> Result<Response> {
    execute(request, &mut Noted::default())
}

/// The SQL function that a query's path names, unless a function of the deployment has that path.
fn sql_function(catalog: &Catalog, request: &Request<'_>) -> Option<Address> {
    let address = Address::parse(request.path).filter(|_| request.kind == FunctionKind::Query)?;
    let deployed = FunctionPath::parse(request.path)
        .is_ok_and(|path| catalog.function(path.module(), path.function()).is_some());
    (!deployed).then_some(address)
}

fn call_sql(
    execution: &mut Execution,
    address: &Address,
    request: &Request<'_>,
) -> Result<std::result::Result<String, JsError>> {
    let refuse = |error: &dyn std::fmt::Display| {
        Ok(Err(JsError::plain(format!(
            "ArgumentValidationError: {error}"
        ))))
    };
    let args = match arguments(request.args).map(Value::from_json) {
        Ok(Ok(Value::Object(args))) => args,
        Ok(Ok(_)) => return refuse(&"the arguments must be an object"),
        Ok(Err(error)) => return refuse(&error),
        Err(message) => return Ok(Err(JsError::plain(message))),
    };
    // Role and claims decide what it sees.
    execution.observed.identity = true;
    let identity = request.identity.as_deref();
    let (result, sources) = reads::call(address, args, request.caller, identity)?;
    execution.add_sources(sources);
    Ok(result.map_err(JsError::plain).and_then(|value| {
        let invalid = |error| JsError::plain(format!("Function return value is invalid: {error}"));
        limits::check_result(&value).map_err(invalid)?;
        Ok(value.to_encoded())
    }))
}

/// Arguments as functions take them: the array with one object, in the exact encoding.
pub(crate) fn encoded_arguments(text: &str) -> std::result::Result<String, String> {
    let refuse = |error: &dyn std::fmt::Display| format!("ArgumentValidationError: {error}");
    let args = Value::from_json(arguments(text)?).map_err(|error| refuse(&error))?;
    limits::check_arguments(&args).map_err(|error| refuse(&error))?;
    Ok(format!("[{}]", args.to_encoded()))
}

/// One of the functions that the command line asks for.
fn run_system(mut execution: Execution, path: &FunctionPath, args: &str) -> Result<Response> {
    let result = match arguments(args) {
        Ok(args) => system::run(&mut execution, path, &args)?,
        Err(message) => Err(JsError::plain(message)),
    };
    Ok(finished(execution, result, Vec::new()))
}

/// The one object in the arguments of a request: itself, or in an array.
fn arguments(text: &str) -> std::result::Result<Json, String> {
    let json: Json = serde_json::from_str(text)
        .map_err(|error| format!("ArgumentValidationError: arguments are not JSON: {error}"))?;
    match json {
        Json::Array(mut items) if items.len() == 1 => Ok(items.remove(0)),
        Json::Object(fields) => Ok(Json::Object(fields)),
        _ => Err(
            "ArgumentValidationError: arguments must be one object, or an array with one"
                .to_owned(),
        ),
    }
}

/// A function that may be called, with arguments that it takes.
pub(crate) struct Target {
    /// Its path.
    pub(crate) path: FunctionPath,
    function: Rc<Function>,
    kind: FunctionKind,
    /// JSON: the array with one object.
    args: String,
}

impl Target {
    /// Finds the function and checks the arguments; the error is the message for the caller.
    pub(crate) fn find(
        catalog: &Catalog,
        path: FunctionPath,
        kind: FunctionKind,
        caller: Caller,
        args: Json,
    ) -> std::result::Result<Target, String> {
        let function = find(catalog, &path, kind, caller)?;
        let refuse = |error: &dyn std::fmt::Display| format!("ArgumentValidationError: {error}");
        let args = Value::from_json(args).map_err(|error| refuse(&error))?;
        if !matches!(args, Value::Object(_)) {
            return Err(refuse(&"the arguments must be an object"));
        }
        limits::check_arguments(&args).map_err(|error| refuse(&error))?;
        if let Some(validator) = &function.args {
            let checked = validator.check(&args, catalog);
            checked.map_err(|error| refuse(&error))?;
        }
        Ok(Target {
            path,
            function,
            kind,
            args: format!("[{}]", args.to_encoded()),
        })
    }
}

fn find(
    catalog: &Catalog,
    path: &FunctionPath,
    kind: FunctionKind,
    caller: Caller,
) -> std::result::Result<Rc<Function>, String> {
    let function = catalog
        .function(path.module(), path.function())
        .filter(|function| function.public || caller != Caller::Client);
    let Some(function) = function else {
        return Err(if is_of_node(catalog, path) {
            format!(
                "{} is in a file with \"use node\". Such files are deployed, and cannot run in pg_live \
                 yet (see LIMITATIONS.md).",
                path.stripped()
            )
        } else {
            not_found(path, caller)
        });
    };
    if function.kind != kind {
        return Err(format!(
            "Trying to execute {}:{} as {}, but it is defined as {}.",
            path.module(),
            path.function(),
            kind.name(),
            function.kind.name()
        ));
    }
    Ok(Rc::clone(function))
}

/// Whether a path is in a module for Node.js, whose functions are not known.
fn is_of_node(catalog: &Catalog, path: &FunctionPath) -> bool {
    catalog
        .node_modules
        .iter()
        .any(|module| module == path.module())
}

/// The message about a function that there is not, or not for this caller.
pub(crate) fn not_found(path: &FunctionPath, caller: Caller) -> String {
    let what = match caller {
        Caller::Client => "public function",
        Caller::Sql | Caller::Admin | Caller::Function => "function",
    };
    format!(
        "Could not find {what} for '{}'. Did you forget to run `npx convex dev`?",
        path.stripped()
    )
}

/// Runs a function and checks its result. The current user is the deployment's owner.
pub(crate) fn call(
    execution: &mut Execution,
    target: &Target,
    seed: [u8; 32],
) -> std::result::Result<Outcome, Failure> {
    let catalog = Rc::clone(&execution.catalog);
    if catalog.deployment.is_none() {
        return Err(Failure::Host(Box::new(Error::NothingDeployed)));
    }
    let call = Call {
        deployment: catalog.code,
        module: target.path.module(),
        export: target.path.function(),
        kind: match target.kind {
            FunctionKind::Query => Kind::Query,
            FunctionKind::Mutation | FunctionKind::Action => Kind::Mutation,
        },
        args: &target.args,
        now_unix_ms: execution.now_unix_ms,
        seed,
        import_unix_ms: catalog.deployed_unix_ms,
        sharing: sharing::of(target.function.sharing),
        image: catalog.image.as_ref().filter(|_| gucs::uses_images()),
    };
    after_reply::call(between_statements);
    let mut outcome = sharing::invoke(&call, execution, &limits())?;
    count(outcome.user_time);
    execution.observed.join(outcome.observed);
    outcome.result = outcome
        .result
        .and_then(|text| check_result(&catalog, &target.function, text));
    Ok(outcome)
}

/// Makes ready for the next calls while the client has no statement for us.
fn between_statements() {
    js::between_statements(|| !session::interrupt_pending() && !after_reply::client_waits());
}

fn count(user_time: Duration) {
    if let Some(slot) = shmem::own_slot() {
        slot.count(Counter::Functions, 1);
        let us = u64::try_from(user_time.as_micros()).unwrap_or(u64::MAX);
        slot.count(Counter::FunctionTimeUs, us);
    }
}

/// The limits in force.
pub(crate) fn limits() -> Limits {
    Limits {
        heap_bytes: gucs::heap_size_bytes(),
        user_time: Duration::from_millis(gucs::user_time_ms()),
        stack_bytes: session::stack_bytes(),
        result_bytes: 16 << 20,
        interrupt_pending: session::interrupt_pending,
        fatal: session::end_session,
    }
}

/// What V8's failure is as our error. A panic that crossed V8 goes on here.
pub(crate) fn failure(failure: Failure) -> Error {
    match failure {
        Failure::Host(payload) => match payload.downcast::<Error>() {
            Ok(error) => *error,
            Err(payload) => std::panic::resume_unwind(payload),
        },
        Failure::Interrupted => {
            session::check_for_interrupts();
            Error::Engine("interrupted, but no interrupt is pending any more".to_owned())
        }
        Failure::TimedOut => Error::TimedOut(Duration::from_millis(gucs::user_time_ms())),
        Failure::OutOfMemory => Error::OutOfMemory,
        Failure::StackDepth => Error::StackDepth,
        Failure::Engine(message) => Error::Engine(message),
    }
}

fn check_result(
    catalog: &Catalog,
    function: &Function,
    text: String,
) -> std::result::Result<String, JsError> {
    let refuse =
        |what: &str, error: &dyn std::fmt::Display| JsError::plain(format!("{what}: {error}"));
    if function.returns.is_none() && limits::surely_small(&text) {
        return Ok(text);
    }
    let invalid = "Function return value is invalid";
    let value = Value::parse_encoded(&text).map_err(|error| refuse(invalid, &error))?;
    limits::check_result(&value).map_err(|error| refuse(invalid, &error))?;
    if let Some(validator) = &function.returns {
        let checked = validator.check(&value, catalog);
        checked.map_err(|error| refuse("ReturnsValidationError", &error))?;
    }
    Ok(text)
}
