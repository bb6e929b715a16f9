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
use crate::js::{self, AnalyzedModule, ModuleFailure};
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
    let schema = evaluate_schema(source, &environment)?;
    let analysis = analyze(source, &environment)?;
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
    let proofs = prove_all(source, &environment, &analysis)?;
    for (module, proof) in analysis.iter().zip(&proofs) {
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
    let export =
        js::evaluate_auth_config(&module.path, &mut workbench, &run::limits(), import_time());
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
        &run::limits(),
        import_time(),
    )
    .map_err(module_failure)?;
    definitions(&export)?;
    Ok(Some(export))
}

fn analyze(source: &Source, environment: &Environment) -> Result<Vec<AnalyzedModule>> {
    let paths: Vec<String> = source
        .modules
        .iter()
        .filter(|module| module.may_hold_functions())
        .map(|module| module.path.clone())
        .collect();
    js::analyze(
        &paths,
        &mut Workbench::new(source, environment),
        &run::limits(),
        import_time(),
    )
    .map_err(module_failure)
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

/// Modules that are proven together: most of the cost of a proof is the context.
const PROVEN_AT_ONCE: usize = 16;

/// Whether calls of a module may share a context without seeing each other; else why not.
type Proof = std::result::Result<(), String>;

/// The proofs of all modules, in their order. Where some that were looked at together are refused, each is looked at by itself.
fn prove_all(
    source: &Source,
    environment: &Environment,
    analysis: &[AnalyzedModule],
) -> Result<Vec<Proof>> {
    let has_queries =
        |module: &AnalyzedModule| module.functions.iter().any(|f| f.udf_type == "Query");
    let mut proofs: Vec<Proof> = vec![Err(String::new()); analysis.len()];
    let candidates: Vec<usize> = (0..analysis.len())
        .filter(|&n| !analysis[n].asks_for_reuse && has_queries(&analysis[n]))
        .collect();
    for together in candidates.chunks(PROVEN_AT_ONCE) {
        let paths: Vec<&str> = together
            .iter()
            .map(|&n| analysis[n].path.as_str())
            .collect();
        let proof = prove(source, environment, &paths)?;
        for (&n, path) in together.iter().zip(&paths) {
            proofs[n] = match &proof {
                Err(_) if paths.len() > 1 => prove(source, environment, &[*path])?,
                Ok(()) | Err(_) => proof.clone(),
            };
        }
    }
    Ok(proofs)
}

fn prove(source: &Source, environment: &Environment, paths: &[&str]) -> Result<Proof> {
    js::prove(
        paths,
        &mut Workbench::new(source, environment),
        &run::limits(),
        import_time(),
    )
    .map_err(run::failure)
}

fn store_functions(push: i64, module: &AnalyzedModule, proof: &Proof) -> Result<()> {
    for function in &module.functions {
        let (context, reason) = match proof {
            _ if module.asks_for_reuse => (
                "reused",
                "the module exports experimental_reuseContext = true",
            ),
            _ if function.udf_type != "Query" => (
                "fresh",
                "only queries share a context unless the module asks for it",
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
