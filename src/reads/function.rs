//! SQL functions as queries of clients: `sql/schema:function` with named arguments.

use std::collections::BTreeMap;

use pg_live_values::Value;
use serde::Deserialize;

use super::caller::{self, Identity};
use super::polling;
use super::sources::{DEFINITIONS, Sources};
use super::statement;
use super::values::{rows_to_value, to_value};
use crate::capture;
use crate::documents::catalog::quoted;
use crate::error::Result;
use crate::functions::run::Caller;
use crate::gucs;
use crate::pg::executed;
use crate::pg::session::{self, Setting, SettingsGuard, UserGuard};
use crate::pg::spi::{self, Access, Param};

/// How the paths of SQL functions begin.
const PREFIX: &str = "sql/";

/// A function of SQL by schema and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    schema: String,
    name: String,
}

impl Address {
    /// Reads `sql/schema:function`; anything else is no address of an SQL function.
    pub(crate) fn parse(path: &str) -> Option<Address> {
        let (schema, name) = path.strip_prefix(PREFIX)?.split_once(':')?;
        let schema = schema.strip_suffix(".js").unwrap_or(schema);
        let plain = |part: &str| !part.is_empty() && !part.contains(['/', ':', '.']);
        (plain(schema) && plain(name)).then(|| Address {
            schema: schema.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// A parameter of a function.
#[derive(Clone, Debug, Deserialize)]
struct Parameter {
    name: Option<String>,
    of: String,
}

/// A function of that name.
struct Candidate {
    is_volatile: bool,
    /// Gives rows, or values.
    is_set: bool,
    /// They are objects.
    is_composite: bool,
    defaults: usize,
    parameters: Vec<Parameter>,
    /// The number of the interval at which it runs again.
    interval: Option<i32>,
}

impl Candidate {
    /// Whether it can be called with arguments of these names.
    fn takes(&self, args: &BTreeMap<String, Value>) -> bool {
        let named = |name: &str| {
            let mut names = self.parameters.iter().filter_map(|p| p.name.as_deref());
            names.any(|own| own == name)
        };
        let needed = self.parameters.len().saturating_sub(self.defaults);
        let given = |parameter: &Parameter| {
            let name = parameter.name.as_ref();
            name.is_some_and(|name| args.contains_key(name))
        };
        args.keys().all(|name| named(name)) && self.parameters.iter().take(needed).all(given)
    }

    /// The call, and the values of its parameters.
    fn statement(&self, at: &Address, args: BTreeMap<String, Value>) -> (String, Vec<Value>) {
        let mut values = Vec::with_capacity(args.len());
        let mut list = Vec::with_capacity(args.len());
        for (name, value) in args {
            let parameter = self
                .parameters
                .iter()
                .find(|p| p.name.as_ref() == Some(&name));
            let of = parameter.map_or("text", |parameter| parameter.of.as_str());
            values.push(value);
            list.push(format!("{} => ${}::{of}", quoted(&name), values.len()));
        }
        let call = format!(
            "{}.{}({})",
            quoted(&at.schema),
            quoted(&at.name),
            list.join(", ")
        );
        let sql = if self.is_set {
            format!("SELECT * FROM {call}")
        } else {
            format!("SELECT {call} AS value")
        };
        (sql, values)
    }
}

/// Calls the function as the caller's role. The error is the message for the caller.
///
/// # Errors
/// Ours alone, and cancels and lost races as panics.
pub(crate) fn call(
    at: &Address,
    args: BTreeMap<String, Value>,
    who: Caller,
    identity: Option<&str>,
) -> Result<(std::result::Result<Value, String>, Sources)> {
    let mut sources = Sources::of_definitions();
    capture::learn_definitions(DEFINITIONS);
    let prepared = executed::unrecorded(|| prepare(at, &args, who, identity))?;
    let (identity, candidate) = match prepared {
        Ok(prepared) => prepared,
        Err(message) => return Ok((Err(message), sources)),
    };
    sources
        .relations
        .extend(candidate.interval.and_then(polling::interval));
    let (sql, values) = candidate.statement(at, args);
    let (outcome, read) = as_caller(at, &identity, || statement::run(&sql, &values, true))?;
    sources.join(read);
    let rows = match outcome {
        Ok(rows) => rows,
        Err(failed) => return Ok((Err(failed.message), sources)),
    };
    let value = if candidate.is_set && candidate.is_composite {
        rows_to_value(rows)
    } else {
        let values = rows.rows.into_iter();
        let values = values
            .filter_map(|row| row.into_iter().next())
            .map(to_value);
        let values: Result<Vec<Value>> = values.collect();
        values.map(|mut values| {
            if candidate.is_set {
                Value::Array(values)
            } else {
                values.pop().unwrap_or(Value::Null)
            }
        })
    };
    Ok((value.map_err(|error| error.to_string()), sources))
}

/// Runs `body` as the caller, with its claims; names are looked up in the function's schema, then in `public`.
fn as_caller<T>(at: &Address, identity: &Identity, body: impl FnOnce() -> T) -> T {
    let path = format!("{}, public, pg_temp", quoted(&at.schema));
    let _settings = SettingsGuard::with(&[
        Setting {
            name: c"search_path",
            value: &path,
        },
        Setting {
            name: c"request.jwt.claims",
            value: &identity.claims,
        },
    ]);
    let _user = UserGuard::become_user(identity.role);
    body()
}

/// As whom the function is to be called, and which one it is.
fn prepare(
    at: &Address,
    args: &BTreeMap<String, Value>,
    who: Caller,
    identity: Option<&str>,
) -> Result<std::result::Result<(Identity, Candidate), String>> {
    let name = format!("sql/{}:{}", at.schema, at.name);
    if !gucs::sql_schemas().contains(&at.schema) {
        return Ok(Err(format!(
            "Could not find public function for '{name}'. Schema {} is not in pg_live.sql_schemas.",
            at.schema
        )));
    }
    let identity = match caller::identify(who, identity) {
        Ok(identity) => identity,
        Err(message) => return Ok(Err(message)),
    };
    let mut fitting: Vec<Candidate> = candidates(at)?;
    let some = !fitting.is_empty();
    fitting.retain(|candidate| candidate.takes(args));
    let given = args.keys().map(String::as_str).collect::<Vec<_>>();
    let given = given.join(", ");
    Ok(match (fitting.pop(), fitting.is_empty()) {
        (Some(one), true) if one.is_volatile => Err(format!(
            "{name} is VOLATILE: only STABLE and IMMUTABLE functions can be queried."
        )),
        (Some(one), true) => Ok((identity, one)),
        (Some(_), false) => Err(format!(
            "{name} is ambiguous: several functions of that name take the arguments ({given})."
        )),
        (None, _) if some => Err(format!(
            "ArgumentValidationError: {name} does not take the arguments ({given})."
        )),
        (None, _) => Err(format!("Could not find public function for '{name}'.")),
    })
}

fn candidates(at: &Address) -> Result<Vec<Candidate>> {
    session::as_superuser(|| {
        spi::query(
            "SELECT volatile, is_set, is_composite, defaults, parameters, number FROM live.sql_functions($1, $2)",
            &[Param::Text(&at.schema), Param::Text(&at.name)],
            Access::Read,
            |row| {
                let parameters: String = row.need(4)?;
                let defaults: i32 = row.need(3)?;
                Ok(Candidate {
                    is_volatile: row.need(0)?,
                    is_set: row.need(1)?,
                    is_composite: row.need(2)?,
                    defaults: usize::try_from(defaults).unwrap_or(0),
                    parameters: serde_json::from_str(&parameters).unwrap_or_default(),
                    interval: row.get(5),
                })
            },
        )
    })
}
