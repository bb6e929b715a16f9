//! Staging: code is read, schema and functions are looked at, all is stored; nothing is in force yet.

use std::collections::HashMap;
use std::rc::Rc;

use pg_live_values::{Schema, Validator, auth_config};
use serde_json::Value as Json;

use crate::deploy::prepare::{self, Statements};
use crate::deploy::source::{Module, Source, Workbench};
use crate::deploy::tables::Definition;
use crate::deploy::{Mode, refused};
use crate::documents::catalog::{self, Catalog};
use crate::documents::create;
use crate::error::{Error, Result};
use crate::functions::run;
use crate::js::{self, AnalyzedModule, Limits, ModuleFailure};
use crate::pg::session;
use crate::pg::spi::{self, Access, Param, Type};

type Environment = HashMap<String, String>;

/// What staging gave.
pub(super) enum Staged {
    /// The source is that of the deployment in force, whose number this is.
    Unchanged(i64),
    /// A new deployment.
    New {
        /// Its number.
        push: i64,
        /// To run, each by itself, before the switch.
        statements: Statements,
    },
}

/// Stages a source.
pub(super) fn stage(source: &Source, mode: Mode) -> Result<Staged> {
    let push = match store(source)? {
        Stored::Unchanged(deployment) => return Ok(Staged::Unchanged(deployment)),
        Stored::New(push) => push,
    };
    let statements = prepare_for(push, mode)?;
    Ok(Staged::New { push, statements })
}

/// What storing a source gave.
pub(super) enum Stored {
    /// The source is that of the deployment in force, whose number this is.
    Unchanged(i64),
    /// A new deployment, of which nothing is in force and for which nothing is prepared.
    New(i64),
}

/// Looks at a source and stores it under a new number.
pub(super) fn store(source: &Source) -> Result<Stored> {
    let catalog = Catalog::current(Access::Write)?;
    create::owner_oid(&catalog)?;
    let environment = catalog::environment(Access::Write)?;
    let auth = evaluate_auth_config(source, &environment)?;
    let hash = source.hash(auth.as_deref());
    if let Some(deployment) = catalog.deployment
        && hash_of(deployment)?.as_deref() == Some(hash.as_str())
        && prepare::is_sound(&catalog, &stored_schema(deployment)?)?
    {
        return Ok(Stored::Unchanged(deployment));
    }
    let looked = evaluate_schema(source, &environment)
        .and_then(|schema| Ok((schema, inspect(source, &environment)?)));
    // It holds all that was looked at: more than a session should keep.
    js::discard();
    let (schema, inspected) = looked?;
    let push = spi::query_one(
        "INSERT INTO live.deployments (hash, message, schema, base, auth) \
         VALUES ($1, $2, $3::json, $4, $5::json) RETURNING id",
        &[
            Param::Text(&hash),
            optional(&source.message),
            optional(&schema),
            catalog
                .deployment
                .map_or(Param::Null(Type::Int8), Param::Int8),
            optional(&auth),
        ],
        Access::Write,
        |row| row.need::<i64>(0),
    )?
    .ok_or_else(|| Error::Catalog("no number for the deployment".to_owned()))?;
    source
        .modules
        .iter()
        .try_for_each(|module| store_module(push, module))?;
    for (module, proof) in &inspected {
        store_functions(push, module, proof)?;
    }
    Ok(Stored::New(push))
}

/// Checks the rows for a stored deployment; returns what to run, each by itself, before the switch.
pub(super) fn prepare_for(push: i64, mode: Mode) -> Result<Statements> {
    let catalog = Catalog::current(Access::Write)?;
    let definitions = stored_schema(push)?;
    prepare::check_rows(&catalog, &definitions)?;
    match mode {
        Mode::Beside | Mode::Small => prepare::statements(&catalog, push, &definitions),
        Mode::AtOnce => {
            prepare::drop_unused(&catalog, &definitions)?;
            Ok(Statements::default())
        }
    }
}

fn hash_of(deployment: i64) -> Result<Option<String>> {
    spi::query_one(
        "SELECT hash FROM live.deployments WHERE id = $1",
        &[Param::Int8(deployment)],
        Access::Write,
        |row| row.need(0),
    )
}

/// The schema of a stored deployment.
pub(super) fn stored_schema(deployment: i64) -> Result<Vec<Definition>> {
    let text = spi::query_one(
        "SELECT schema::text FROM live.deployments WHERE id = $1",
        &[Param::Int8(deployment)],
        Access::Write,
        |row| Ok(row.get::<String>(0)),
    )?;
    match text.flatten() {
        Some(text) => definitions(&text),
        None => Ok(Vec::new()),
    }
}

fn definitions(export: &str) -> Result<Vec<Definition>> {
    let schema = Schema::parse(export)
        .map_err(|error| refused(format!("schema.ts: {}: {error}", error.code)))?;
    let json: Json = serde_json::from_str(export)
        .map_err(|error| refused(format!("schema.ts: export() is not JSON: {error}")))?;
    let validation = schema.schema_validation;
    Ok(schema
        .tables
        .into_iter()
        .enumerate()
        .map(|(position, table)| Definition {
            document_type: validation.then(|| json["tables"][position]["documentType"].clone()),
            table: Rc::new(table),
        })
        .collect())
}

/// The export of auth.config.ts as JSON text.
fn evaluate_auth_config(source: &Source, environment: &Environment) -> Result<Option<String>> {
    let Some(module) = &source.auth_config else {
        return Ok(None);
    };
    let mut workbench = Workbench::new(source, environment);
    let export = js::evaluate_auth_config(&module.path, &mut workbench, &limits(), import_time());
    // First: an unset variable is why the rest is wrong.
    if let Some(name) = workbench.unset {
        return Err(refused(format!(
            "AuthConfigMissingEnvironmentVariable: Environment variable {name} is used in auth.config \
             but its value is not set; set it by SELECT live.set_environment('{name}', '...')"
        )));
    }
    let export = export.map_err(module_failure)?;
    auth_config::parse(&export).map_err(|error| refused(format!("auth.config.ts: {error}")))?;
    Ok(Some(export))
}

/// The export of schema.ts as JSON text.
fn evaluate_schema(source: &Source, environment: &Environment) -> Result<Option<String>> {
    let Some(schema) = &source.schema else {
        return Ok(None);
    };
    let export = js::evaluate_schema(
        &schema.path,
        &mut Workbench::new(source, environment),
        &limits(),
        import_time(),
    )
    .map_err(module_failure)?;
    definitions(&export)?;
    Ok(Some(export))
}

/// The time that module code sees: that of the deploy.
fn import_time() -> f64 {
    (session::transaction_start_us() / 1000) as f64
}

fn module_failure(failure: ModuleFailure) -> Error {
    match failure {
        ModuleFailure::Failure(failure) => run::failure(failure),
        failure @ ModuleFailure::Module { .. } => refused(failure.to_string()),
    }
}

fn store_module(push: i64, module: &Module) -> Result<()> {
    let hash = module.hash();
    spi::execute(
        "INSERT INTO live.sources VALUES ($1, $2, $3) ON CONFLICT (hash) DO NOTHING",
        &[
            Param::Text(&hash),
            Param::Text(&module.source),
            optional(&module.source_map),
        ],
    )?;
    spi::execute(
        "INSERT INTO live.modules VALUES ($1, '', $2, $3, $4)",
        &[
            Param::Int8(push),
            Param::Text(&module.path),
            Param::Text(&hash),
            Param::Text(&module.environment),
        ],
    )
}

/// Modules that are looked at together: a context costs more than a small module, and holds all of them.
const LOOKED_AT_ONCE: usize = 32;

/// Whether calls of a module may share a context without seeing each other; else why not.
type Proof = std::result::Result<(), String>;

/// All modules with what they export and whether their calls may share a context, in their order.
fn inspect(source: &Source, environment: &Environment) -> Result<Vec<(AnalyzedModule, Proof)>> {
    let modules = source.modules.iter();
    let paths: Vec<&str> = modules
        .filter(|module| module.may_hold_functions())
        .map(|module| module.path.as_str())
        .collect();
    let mut inspected = Vec::with_capacity(paths.len());
    for together in paths.chunks(LOOKED_AT_ONCE) {
        inspect_together(source, environment, together, &mut inspected)?;
    }
    Ok(inspected)
}

/// Some modules: in one context, if they all may share one. Else once more as they are called, and where it matters
/// each by itself.
fn inspect_together(
    source: &Source,
    environment: &Environment,
    paths: &[&str],
    inspected: &mut Vec<(AnalyzedModule, Proof)>,
) -> Result<()> {
    let together = match prove(source, environment, paths)? {
        Ok(modules) => {
            inspected.extend(modules.into_iter().map(|module| (module, Ok(()))));
            return Ok(());
        }
        Err(reason) => reason,
    };
    let modules = js::analyze(
        paths,
        &mut Workbench::new(source, environment),
        &limits(),
        import_time(),
    );
    for module in modules.map_err(module_failure)? {
        let matters =
            !module.asks_for_reuse && module.functions.iter().any(|f| f.udf_type == "Query");
        let proof = match paths {
            [_] | [] => Err(together.clone()),
            _ if matters => prove(source, environment, &[&module.path])?.map(drop),
            _ => Err(String::new()),
        };
        inspected.push((module, proof));
    }
    Ok(())
}

fn prove(
    source: &Source,
    environment: &Environment,
    paths: &[&str],
) -> Result<std::result::Result<Vec<AnalyzedModule>, String>> {
    js::prove(
        paths,
        &mut Workbench::new(source, environment),
        &limits(),
        import_time(),
    )
    .map_err(run::failure)
}

/// The limits of a look at code: several modules are in memory at once.
fn limits() -> Limits {
    let limits = run::limits();
    Limits {
        heap_bytes: limits.heap_bytes * 2,
        ..limits
    }
}

fn store_functions(push: i64, module: &AnalyzedModule, proof: &Proof) -> Result<()> {
    for function in &module.functions {
        let (context, reason) = match proof {
            _ if module.asks_for_reuse => (
                "reused",
                "the module exports experimental_reuseContext = true",
            ),
            _ if !matches!(&*function.udf_type, "Query" | "Mutation") => (
                "fresh",
                "only queries and mutations share a context unless the module asks for it",
            ),
            Ok(()) => (
                "guarded",
                "nothing that the module keeps can change between calls",
            ),
            Err(reason) => ("fresh", reason.as_str()),
        };
        for (what, validator) in [("args", &function.args), ("returns", &function.returns)] {
            check_validator(validator.as_deref()).map_err(|error| {
                refused(format!(
                    "{}:{}: {what}: {error}",
                    module.path, function.name
                ))
            })?;
        }
        spi::execute(
            "INSERT INTO live.functions VALUES ($1, '', $2, $3, $4, $5, $6::json, $7::json, $8, $9)",
            &[
                Param::Int8(push),
                Param::Text(&module.path),
                Param::Text(&function.name),
                Param::Text(&function.udf_type),
                optional(&function.visibility),
                optional(&function.args),
                optional(&function.returns),
                Param::Text(context),
                Param::Text(reason),
            ],
        )?;
    }
    Ok(())
}

/// Whether a function can be called with this validator; `null` is none.
fn check_validator(text: Option<&str>) -> std::result::Result<(), String> {
    let Some(text) = text else { return Ok(()) };
    let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if json.is_null() {
        return Ok(());
    }
    Validator::from_json(&json)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn optional(text: &Option<String>) -> Param<'_> {
    text.as_deref().map_or(Param::Null(Type::Text), Param::Text)
}
