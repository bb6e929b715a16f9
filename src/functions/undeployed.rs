//! Queries that are not deployed: an administrator writes one and runs it once.

use std::rc::Rc;
use std::sync::Arc;

use pg_live_values::{Value, limits};

use super::execution::Execution;
use super::run::{self, Response};
use crate::deploy;
use crate::documents::catalog::{Catalog, FunctionKind};
use crate::documents::create;
use crate::error::Result;
use crate::js::{self, Call, JsError, Kind, ModuleSource, Sharing};
use crate::pg::session::{self, UserGuard};
use crate::pg::spi::Access;

/// The path of the module, as stack traces show it.
const PATH: &str = "testQuery.js";
/// What the package's command line has such a module import, and where that is here.
const WRAPPERS: (&str, &str) = ("convex:/_system/repl/wrappers.js", "./wrappers.js");
/// What is there.
const WRAPPERS_TEXT: &str = "export { queryGeneric as query, internalQueryGeneric as internalQuery } \
    from \"convex/server\";";

/// A module that is run without being deployed.
pub(crate) struct Undeployed {
    source: Arc<str>,
}

impl Undeployed {
    /// What it may import is the library, and nothing of the app.
    pub(super) fn module(&self, path: &str) -> Option<ModuleSource> {
        let source = match path {
            PATH => Arc::clone(&self.source),
            "wrappers.js" => WRAPPERS_TEXT.into(),
            _ => deploy::library(path)?.into(),
        };
        Some(ModuleSource {
            source,
            source_map: None,
        })
    }
}

/// Runs the query that a module exports by default.
pub(crate) fn run(source: &str, args: &str) -> Result<Response> {
    let definer = session::current_user();
    let catalog = Catalog::current(Access::Read)?;
    let (kind, name) = (FunctionKind::Query, "testQuery:default".to_owned());
    let mut execution = Execution::new(Rc::clone(&catalog), kind, name, None, definer);
    execution.undeployed = Some(Undeployed {
        source: source.replace(WRAPPERS.0, WRAPPERS.1).into(),
    });
    let (result, log_lines) = match run::encoded_arguments(args) {
        Ok(args) => call(&mut execution, &args)?,
        Err(message) => (Err(JsError::plain(message)), Vec::new()),
    };
    Ok(run::finished(execution, result, log_lines))
}

type Outcome = (std::result::Result<String, JsError>, Vec<String>);

fn call(execution: &mut Execution, args: &str) -> Result<Outcome> {
    let catalog = Rc::clone(&execution.catalog);
    // Deployments have positive numbers; what is kept of this one is forgotten at once.
    let deployment = -i64::from(rand::random::<u32>()) - 1;
    let call = Call {
        deployment,
        module: PATH,
        export: "default",
        kind: Kind::Query,
        args,
        now_unix_ms: execution.now_unix_ms,
        seed: execution.seed(),
        import_unix_ms: execution.now_unix_ms,
        sharing: Sharing::Fresh,
        image: None,
    };
    let outcome = {
        let _user = UserGuard::become_user(create::owner_oid(&catalog)?);
        js::invoke(&call, execution, &run::limits())
    };
    js::forget_others(catalog.code);
    let outcome = outcome.map_err(run::failure)?;
    let result = outcome.result.and_then(|text| {
        let invalid = |error: &dyn std::fmt::Display| {
            JsError::plain(format!("Function return value is invalid: {error}"))
        };
        let value = Value::parse_encoded(&text).map_err(|error| invalid(&error))?;
        limits::check_result(&value).map_err(|error| invalid(&error))?;
        Ok(text)
    });
    Ok((result, outcome.log_lines))
}
