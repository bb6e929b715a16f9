//! SQL faces: every public query and mutation of the deployment in force is a function of SQL, too.
//!
//! `messages:list` is `app."messages:list"(args json DEFAULT '{}') RETURNS json`. It belongs to the deployment's
//! owner and is granted to nobody else but the relay. Faces that stay are replaced, not dropped: grants stay.

use std::collections::HashMap;

use pg_live_values::column::relation_name;

use crate::deploy::refused;
use crate::documents::catalog::{Catalog, literal, quoted};
use crate::documents::create;
use crate::error::Result;
use crate::pg::spi::{self, Access, Param};

/// A face: name of the SQL function, path of the deployed one, its kind.
struct Face {
    name: String,
    path: String,
    kind: String,
}

/// Makes the faces those of deployment `push`.
pub(super) fn exchange(catalog: &Catalog, push: i64) -> Result<()> {
    let schema = schema()?;
    let mut present: HashMap<String, Face> = present(&schema)?
        .into_iter()
        .map(|face| (face.name.clone(), face))
        .collect();
    let wanted = wanted(push)?;
    if present.is_empty() && wanted.is_empty() {
        return Ok(());
    }
    make_schema(catalog, &schema)?;
    for face in &wanted {
        let function = function(&schema, &face.name);
        let exists = exists(&function)?;
        match present.remove(&face.name) {
            Some(known) if exists && known.path == face.path && known.kind == face.kind => {}
            Some(_) if exists => define(catalog, &schema, face, &[])?,
            Some(_) => define(catalog, &schema, face, &rights(&function))?,
            None if exists => {
                return Err(refused(format!(
                    "the SQL function {function} exists and is not of a deployment; rename it, or choose another \
                     schema for the functions of deployments: INSERT INTO live.settings VALUES \
                     ('functions_schema', '...')"
                )));
            }
            None => define(catalog, &schema, face, &rights(&function))?,
        }
    }
    for gone in present.values() {
        let drop = format!("DROP FUNCTION IF EXISTS {}", function(&schema, &gone.name));
        create::as_owner(catalog, &[drop])?;
        spi::execute(
            "DELETE FROM live.faces WHERE schema = $1::pg_catalog.name AND name = $2::pg_catalog.name",
            &[Param::Text(&schema), Param::Text(&gone.name)],
        )?;
    }
    Ok(())
}

/// The schema that faces are in.
fn schema() -> Result<String> {
    let set = spi::query_one(
        "SELECT value FROM live.settings WHERE name = 'functions_schema'",
        &[],
        Access::Write,
        |row| row.need(0),
    )?;
    Ok(set.unwrap_or_else(|| "app".to_owned()))
}

fn make_schema(catalog: &Catalog, schema: &str) -> Result<()> {
    let exists = spi::query_one(
        "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1::pg_catalog.name",
        &[Param::Text(schema)],
        Access::Write,
        |row| row.need::<i32>(0),
    )?;
    if exists.is_some() {
        return Ok(());
    }
    let owner = catalog.owner.as_deref().unwrap_or_default();
    let schema = quoted(schema);
    spi::define(&format!(
        "CREATE SCHEMA {schema} AUTHORIZATION {}",
        quoted(owner)
    ))?;
    create::as_owner(
        catalog,
        &[format!("GRANT USAGE ON SCHEMA {schema} TO live_relay")],
    )
}

fn present(schema: &str) -> Result<Vec<Face>> {
    spi::query(
        "SELECT name::text, path, kind FROM live.faces WHERE schema = $1::pg_catalog.name",
        &[Param::Text(schema)],
        Access::Write,
        |row| {
            Ok(Face {
                name: row.need(0)?,
                path: row.need(1)?,
                kind: row.need(2)?,
            })
        },
    )
}

/// The public queries and mutations of a deployment. A path that is too long for a name is cut, and ends in a hash.
fn wanted(push: i64) -> Result<Vec<Face>> {
    spi::query(
        "SELECT pg_catalog.regexp_replace(module, '\\.js$', '') || ':' || name, kind \
         FROM live.functions WHERE deployment = $1 AND component = '' AND visibility = 'public' \
         AND kind IN ('Query', 'Mutation') ORDER BY 1",
        &[Param::Int8(push)],
        Access::Write,
        |row| {
            let path: String = row.need(0)?;
            Ok(Face {
                name: relation_name(&path),
                path,
                kind: row.need(1)?,
            })
        },
    )
}

/// The function as SQL names it.
fn function(schema: &str, name: &str) -> String {
    format!("{}.{}(json)", quoted(schema), quoted(name))
}

fn exists(function: &str) -> Result<bool> {
    let found = spi::query_one(
        "SELECT pg_catalog.to_regprocedure($1) IS NOT NULL",
        &[Param::Text(function)],
        Access::Write,
        |row| row.need(0),
    )?;
    Ok(found.unwrap_or(false))
}

/// Who may call a new face.
fn rights(function: &str) -> [String; 2] {
    [
        format!("REVOKE ALL ON FUNCTION {function} FROM PUBLIC"),
        format!("GRANT EXECUTE ON FUNCTION {function} TO live_relay"),
    ]
}

fn define(catalog: &Catalog, schema: &str, face: &Face, rights: &[String]) -> Result<()> {
    let (volatility, runs) = match face.kind.as_str() {
        "Query" => ("STABLE", "query"),
        _ => ("VOLATILE", "mutation"),
    };
    let body = format!("SELECT live.{runs}({}, args)", literal(&face.path));
    let mut statements = vec![format!(
        "CREATE OR REPLACE FUNCTION {}.{}(args json DEFAULT '{{}}') RETURNS json LANGUAGE sql \
         {volatility} STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {}",
        quoted(schema),
        quoted(&face.name),
        literal(&body)
    )];
    statements.extend_from_slice(rights);
    create::as_owner(catalog, &statements)?;
    spi::execute(
        "INSERT INTO live.faces VALUES ($1::pg_catalog.name, $2::pg_catalog.name, $3, $4) \
         ON CONFLICT (schema, name) DO UPDATE SET path = excluded.path, kind = excluded.kind",
        &[
            Param::Text(schema),
            Param::Text(&face.name),
            Param::Text(&face.path),
            Param::Text(&face.kind),
        ],
    )
}
