//! Documents that come from elsewhere: exports of other deployments, files. They keep their ids and times.

use std::collections::{BTreeMap, HashMap};

use pg_live_values::{DocumentId, TableLookup, Validator, Value, limits, schema};
use pgrx::pg_sys::Datum;
use serde_json::Value as Json;

use crate::documents::catalog::{Catalog, Table};
use crate::documents::row::{CREATION_TIME, ID};
use crate::documents::{create, key, write};
use crate::error::{Error, Result};
use crate::pg::function::Call;
use crate::pg::session::UserGuard;
use crate::pg::spi::{self, Access, Param};

/// The first number of a table of an app.
const FIRST_NUMBER: i32 = 10_001;

fn refuse(reason: impl Into<String>) -> Error {
    Error::InvalidParameter(reason.into())
}

/// `live.import_table(name text, number integer, replace boolean) -> integer`
///
/// The number of the table, which is made if there is none, with the number that was asked for if that is free.
pub(super) fn import_table(call: &mut Call) -> Result<Datum> {
    let name: String = call.required(0, "name")?;
    let number: Option<i32> = call.optional(1);
    let replace: bool = call.required(2, "replace")?;
    schema::check_table_name(&name).map_err(|error| refuse(error.to_string()))?;
    create::lock_active()?;
    let mut catalog = Catalog::current(Access::Write)?;
    if let Some(table) = catalog.table(&name) {
        if replace {
            let delete = format!("DELETE FROM {}", table.relation);
            create::as_owner(&catalog, &[delete])?;
        }
        return Ok(call.value(table.number.cast_signed()));
    }
    if let Some(number) = number
        && number >= FIRST_NUMBER
        && catalog.table_name(number.cast_unsigned()).is_none()
    {
        take_number(number)?;
    }
    create::table(&catalog, &name, &[])?;
    create::new_version(None)?;
    catalog = Catalog::current(Access::Write)?;
    let made = catalog
        .table(&name)
        .ok_or_else(|| Error::Catalog(format!("table {name} could not be made")))?;
    Ok(call.value(made.number.cast_signed()))
}

/// Has the next table get this number, and later ones greater ones than all before.
fn take_number(number: i32) -> Result<()> {
    let last = spi::query_one(
        "SELECT last_value FROM live.table_number_seq",
        &[],
        Access::Write,
        |row| row.need::<i64>(0),
    )?;
    // The numbers below it may be taken, or may have been: ids of dropped tables must stay unknown.
    if last.is_some_and(|last| i64::from(number) > last) {
        spi::query_one(
            "SELECT pg_catalog.setval('live.table_number_seq', $1, false)",
            &[Param::Int8(i64::from(number))],
            Access::Write,
            |row| row.need::<i64>(0),
        )?;
    }
    Ok(())
}

/// `live.import_documents(name text, documents text[], numbers json, integers boolean) -> bigint`
///
/// `numbers`: of tables, as they were and as they are, for ids in the documents. `integers`: numbers without a
/// point are int64 where the schema leaves that open.
pub(super) fn import_documents(call: &mut Call) -> Result<Datum> {
    let name: String = call.required(0, "name")?;
    let documents: Vec<Option<String>> = call.required(1, "documents")?;
    let numbers: String = call.required(2, "numbers")?;
    let integers: bool = call.required(3, "integers")?;
    let numbers: HashMap<String, u32> = serde_json::from_str(&numbers)
        .map_err(|error| refuse(format!("numbers: expected {{\"10001\": 10002}}: {error}")))?;
    let numbers = numbers
        .iter()
        .filter_map(|(from, to)| Some((from.parse::<u32>().ok()?, *to)))
        .filter(|(from, to)| from != to)
        .collect();
    let catalog = Catalog::current(Access::Write)?;
    let table = catalog
        .table(&name)
        .ok_or_else(|| refuse(format!("there is no table {name}")))?;
    let reader = Reader {
        catalog: &catalog,
        table,
        numbers,
        integers,
    };
    let _user = UserGuard::become_user(create::owner_oid(&catalog)?);
    let mut count = 0_i64;
    for text in documents.iter().flatten() {
        let document = reader.read(text).map_err(|reason| {
            refuse(format!("document {} for table {name}: {reason}", count + 1))
        })?;
        let (id, time, fields) = document;
        write::insert_as(table, id, time, &fields)?;
        count += 1;
    }
    Ok(call.value(count))
}

/// What is known of the documents to read.
struct Reader<'a> {
    catalog: &'a Catalog,
    table: &'a Table,
    numbers: HashMap<u32, u32>,
    integers: bool,
}

/// Id and creation time, if it has them, and the fields.
type Document = (Option<String>, Option<f64>, BTreeMap<String, Value>);

impl Reader<'_> {
    fn read(&self, text: &str) -> std::result::Result<Document, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let validator = self.table.document_type.as_ref();
        let value = Value::from_json(self.typed(json, validator)).map_err(|e| e.to_string())?;
        let mut fields = key::fields_of(value).ok_or_else(|| "expected an object".to_owned())?;
        let id = match fields.remove(ID) {
            None => None,
            Some(Value::String(id)) => Some(self.own_id(id)?),
            Some(_) => return Err("_id must be a string".to_owned()),
        };
        let time = match fields.remove(CREATION_TIME) {
            None => None,
            Some(Value::Float64(time)) => Some(time),
            Some(Value::Int64(time)) => Some(time as f64),
            Some(_) => return Err("_creationTime must be a number".to_owned()),
        };
        let document = Value::Object(fields);
        limits::check_document(&document).map_err(|error| error.to_string())?;
        if let Some(validator) = validator {
            let checked = validator.check_document(&document, self.catalog);
            checked.map_err(|error| format!("it does not match the schema: {error}"))?;
        }
        let fields = key::fields_of(document).unwrap_or_default();
        Ok((id, time, fields))
    }

    fn own_id(&self, id: String) -> std::result::Result<String, String> {
        match DocumentId::parse(&id) {
            Ok(parsed) if parsed.table == self.table.number => Ok(id),
            Ok(parsed) => Err(format!(
                "_id {id} has the number {} of another table; table {} has {}",
                parsed.table, self.table.name, self.table.number
            )),
            Err(error) => Err(format!("_id {id}: {error}")),
        }
    }

    /// Ids get the numbers that their tables have here, numbers the type that the schema says.
    fn typed(&self, json: Json, validator: Option<&Validator>) -> Json {
        match json {
            Json::String(text) => Json::String(self.renumbered(text)),
            Json::Number(number) => match number.as_i64() {
                Some(integer) if self.is_integer(validator) => encoded(integer),
                _ => Json::Number(number),
            },
            Json::Array(items) => {
                let element = validator.and_then(element_of);
                let items = items.into_iter();
                items.map(|item| self.typed(item, element)).collect()
            }
            Json::Object(fields) => Json::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| {
                        let of = validator.and_then(|validator| field_of(validator, &name));
                        let value = if name == CREATION_TIME || name.starts_with('$') {
                            value
                        } else {
                            self.typed(value, of)
                        };
                        (name, value)
                    })
                    .collect(),
            ),
            Json::Null | Json::Bool(_) => json,
        }
    }

    fn renumbered(&self, text: String) -> String {
        if self.numbers.is_empty() {
            return text;
        }
        match DocumentId::parse(&text) {
            Ok(id) => match self.numbers.get(&id.table) {
                Some(&table) => DocumentId { table, ..id }.encode(),
                None => text,
            },
            Err(_) => text,
        }
    }

    fn is_integer(&self, validator: Option<&Validator>) -> bool {
        match validator {
            Some(Validator::Int64 | Validator::Literal(Value::Int64(_))) => true,
            Some(Validator::Float64 | Validator::Literal(Value::Float64(_))) => false,
            Some(Validator::Union(members)) => {
                let of = |wanted: &Validator| members.iter().any(|member| member == wanted);
                match (of(&Validator::Int64), of(&Validator::Float64)) {
                    (true, false) => true,
                    (false, true) => false,
                    (true, true) | (false, false) => self.integers,
                }
            }
            Some(_) | None => self.integers,
        }
    }
}

fn encoded(integer: i64) -> Json {
    serde_json::from_str(&Value::Int64(integer).to_encoded()).unwrap_or(Json::Null)
}

fn element_of(validator: &Validator) -> Option<&Validator> {
    match validator {
        Validator::Array(element) => Some(element),
        Validator::Union(members) => members.iter().find_map(element_of),
        _ => None,
    }
}

fn field_of<'v>(validator: &'v Validator, name: &str) -> Option<&'v Validator> {
    match validator {
        Validator::Object(fields) => fields.get(name).map(|field| &field.validator),
        Validator::Record { values, .. } => Some(values),
        Validator::Union(members) => members.iter().find_map(|member| field_of(member, name)),
        _ => None,
    }
}
