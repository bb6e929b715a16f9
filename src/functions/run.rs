//! Running one call from its path and arguments to its result.

use std::rc::Rc;
use std::time::Duration;

use pg_live_readset::ReadSet;
use pg_live_values::{FunctionPath, Value};

use crate::documents::catalog::{Catalog, Function, FunctionKind};
use crate::documents::create;
use crate::error::{Error, Result};
use crate::functions::execution::Execution;
use crate::gucs;
use crate::js::{self, Call, Failure, JsError, Kind, Limits};
use crate::pg::session::{self, UserGuard};
use crate::pg::shmem::{self, Counter};
use crate::pg::spi::Access;

/// Who may call what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Someone with rights in SQL: internal functions too.
    Sql,
    /// A client, through the relay: public functions only.
    Client,
    /// The relay for its administrator: internal functions too.
    Admin,
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
}

/// What a call gave.
pub(crate) struct Response {
    /// JSON text of the value, or the function's error.
    pub(crate) result: std::result::Result<String, JsError>,
    /// What the function logged.
    pub(crate) log_lines: Vec<String>,
    /// What it read.
    pub(crate) reads: ReadSet,
    /// What else the result depends on.
    pub(crate) observed: Observed,
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

/// Runs a call. Errors of the function are in the response; the rest (interrupts, limits, Postgres
/// errors) is an error or a panic.
pub(crate) fn run(request: &Request<'_>) -> Result<Response> {
    let access = match request.kind {
        FunctionKind::Query => Access::Read,
        FunctionKind::Mutation | FunctionKind::Action => Access::Write,
    };
    let definer = session::current_user();
    let catalog = Catalog::current(access)?;
    if catalog.deployment.is_none() && request.caller == Caller::Sql {
        return Err(Error::NothingDeployed);
    }
    let path = FunctionPath::parse(request.path);
    let name = path
        .as_ref()
        .map_or_else(|_| request.path.to_owned(), FunctionPath::stripped);
    let mut execution = Execution::new(
        Rc::clone(&catalog),
        access,
        name,
        request.identity.clone(),
        definer,
    );
    let checked = match &path {
        Ok(path) => check(&catalog, path, request),
        Err(error) => Err(error.to_string()),
    };
    let mut observed = Observed::default();
    let (outcome, log_lines) = match (checked, path) {
        (Ok((function, args)), Ok(path)) => {
            let invoked = invoke(&mut execution, &path, &function, &args, request.kind)?;
            observed = invoked.observed;
            (invoked.result, invoked.log_lines)
        }
        (Err(message), _) => (
            Err(JsError {
                message,
                data: None,
            }),
            Vec::new(),
        ),
        (Ok(_), Err(error)) => (
            Err(JsError {
                message: error.to_string(),
                data: None,
            }),
            Vec::new(),
        ),
    };
    Ok(Response {
        result: outcome,
        log_lines,
        reads: execution.into_reads(),
        observed,
    })
}

type Checked = std::result::Result<(Rc<Function>, String), String>;

/// Finds the function and checks the arguments; the error is the message for the caller.
fn check(catalog: &Catalog, path: &FunctionPath, request: &Request<'_>) -> Checked {
    let function = find(catalog, path, request)?;
    let json: serde_json::Value = serde_json::from_str(request.args)
        .map_err(|error| format!("ArgumentValidationError: arguments are not JSON: {error}"))?;
    let object = match json {
        serde_json::Value::Array(mut items) if items.len() == 1 => items.remove(0),
        serde_json::Value::Object(fields) => serde_json::Value::Object(fields),
        _ => {
            return Err(
                "ArgumentValidationError: arguments must be one object, or an array with one"
                    .to_owned(),
            );
        }
    };
    let args =
        Value::from_json(object).map_err(|error| format!("ArgumentValidationError: {error}"))?;
    if !matches!(args, Value::Object(_)) {
        return Err("ArgumentValidationError: the arguments must be an object".to_owned());
    }
    if let Some(validator) = &function.args {
        validator
            .check(&args, catalog)
            .map_err(|error| format!("ArgumentValidationError: {error}"))?;
    }
    Ok((function, format!("[{}]", args.to_encoded())))
}

fn find(
    catalog: &Catalog,
    path: &FunctionPath,
    request: &Request<'_>,
) -> std::result::Result<Rc<Function>, String> {
    let not_found = || {
        let what = match request.caller {
            Caller::Client => "public function",
            Caller::Sql | Caller::Admin => "function",
        };
        format!(
            "Could not find {what} for '{}'. Did you forget to run `npx convex dev`?",
            path.stripped()
        )
    };
    let function = catalog
        .function(path.module(), path.function())
        .ok_or_else(not_found)?;
    if request.caller == Caller::Client && !function.public {
        return Err(not_found());
    }
    if function.kind != request.kind {
        return Err(format!(
            "Trying to execute {}:{} as {}, but it is defined as {}.",
            path.module(),
            path.function(),
            request.kind.name(),
            function.kind.name()
        ));
    }
    Ok(Rc::clone(function))
}

struct Invoked {
    result: std::result::Result<String, JsError>,
    log_lines: Vec<String>,
    observed: Observed,
}

fn invoke(
    execution: &mut Execution,
    path: &FunctionPath,
    function: &Function,
    args: &str,
    kind: FunctionKind,
) -> Result<Invoked> {
    let catalog = Rc::clone(&execution.catalog);
    let deployment = catalog.deployment.ok_or(Error::NothingDeployed)?;
    let owner = create::owner_oid(&catalog)?;
    let call = Call {
        deployment,
        module: path.module(),
        export: path.function(),
        kind: match kind {
            FunctionKind::Query => Kind::Query,
            FunctionKind::Mutation | FunctionKind::Action => Kind::Mutation,
        },
        args,
        now_unix_ms: (session::now_us() / 1000) as f64,
        seed: rand::random(),
        import_unix_ms: catalog.deployed_unix_ms,
        reuse_context: false,
    };
    let outcome = {
        let _user = UserGuard::become_user(owner);
        js::invoke(&call, execution, &limits())
    };
    let outcome = outcome.map_err(failure)?;
    count(outcome.user_time);
    let result = match outcome.result {
        Ok(text) => check_result(&catalog, function, text),
        Err(error) => Err(error),
    };
    Ok(Invoked {
        result,
        log_lines: outcome.log_lines,
        observed: Observed {
            time: outcome.observed.time,
            randomness: outcome.observed.randomness,
            identity: execution.identity_observed,
        },
    })
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
    let refuse = |message: String| JsError {
        message,
        data: None,
    };
    let Some(validator) = &function.returns else {
        return Ok(text);
    };
    let value = Value::parse_encoded(&text)
        .map_err(|error| refuse(format!("ReturnsValidationError: {error}")))?;
    validator
        .check(&value, catalog)
        .map_err(|error| refuse(format!("ReturnsValidationError: {error}")))?;
    Ok(text)
}
