//! The catalog as one call sees it: tables, columns, indexes and the functions in force.
//!
//! Loaded at the caller's snapshot and kept by `live.active.version`, which names one state.

use std::collections::HashMap;
use std::rc::Rc;

use pg_live_readset::{IndexId, RelId};
use pg_live_values::schema::TableSchema;
use pg_live_values::{ColumnType, FieldPath, TableLookup, Validator, system_tables};
use pgrx::pg_sys;

use crate::documents::freshness;
use crate::error::{Error, Result};
use crate::js::{self, ImagePlace, Sharing};
use crate::pg::images;
use crate::pg::spi::{self, Access, Param};

/// The index `by_creation_time` of every table.
pub(crate) const BY_CREATION_TIME: IndexId = 1;
/// The index `by_id` of every table: the primary key.
pub(crate) const BY_ID: IndexId = 2;

/// A field that has a column of its own; the column has the field's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// The document field, and the column's name.
    pub(crate) field: String,
    /// The column's type.
    pub(crate) of: ColumnType,
}

/// An index of a table.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// The name in the schema.
    pub(crate) name: String,
    /// Its number, in read-sets and write-sets.
    pub(crate) number: IndexId,
    /// Its fields, without `_creationTime` and `_id` at the end.
    pub(crate) fields: Vec<FieldPath>,
    /// The SQL expression that it is built on.
    pub(crate) key: String,
    /// The name of the Postgres index.
    pub(crate) relation: String,
    /// Whether it is (being) built but may not be queried before the schema enables it.
    pub(crate) staged: bool,
}

/// A table of documents.
#[derive(Debug)]
pub(crate) struct Table {
    /// The name that functions use.
    pub(crate) name: String,
    /// The number that is in its ids.
    pub(crate) number: u32,
    /// The relation's oid.
    pub(crate) oid: RelId,
    /// The relation as SQL text, quoted and qualified.
    pub(crate) relation: String,
    /// Its typed columns.
    pub(crate) columns: Vec<Column>,
    /// Its indexes, `by_creation_time` and `by_id` among them.
    pub(crate) indexes: Vec<Index>,
    /// What the schema in force says of it, enforced or not: search and vector indexes are there.
    pub(crate) definition: Option<Rc<TableSchema>>,
    /// What a document must match, by the schema in force; `None`: anything.
    pub(crate) document_type: Option<Validator>,
}

/// What kind of function an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FunctionKind {
    /// Reads.
    Query,
    /// Reads and writes.
    Mutation,
    /// Runs outside of the database.
    Action,
}

impl FunctionKind {
    /// The name in messages and in the catalog.
    pub(crate) fn name(self) -> &'static str {
        match self {
            FunctionKind::Query => "Query",
            FunctionKind::Mutation => "Mutation",
            FunctionKind::Action => "Action",
        }
    }

    fn parse(name: &str) -> Result<FunctionKind> {
        match name {
            "Query" => Ok(FunctionKind::Query),
            "Mutation" => Ok(FunctionKind::Mutation),
            "Action" => Ok(FunctionKind::Action),
            other => Err(Error::Catalog(format!("function of kind {other}"))),
        }
    }
}

/// A deployed function.
#[derive(Debug)]
pub(crate) struct Function {
    /// Its kind.
    pub(crate) kind: FunctionKind,
    /// Whether clients may call it.
    pub(crate) public: bool,
    /// What its arguments must match.
    pub(crate) args: Option<Validator>,
    /// What its result must match.
    pub(crate) returns: Option<Validator>,
    /// Whether its calls share a context.
    pub(crate) sharing: Sharing,
}

/// The state of the catalog at one version.
#[derive(Debug)]
pub(crate) struct Catalog {
    /// `live.active.version`.
    pub(crate) version: i64,
    /// The deployment in force.
    pub(crate) deployment: Option<i64>,
    /// The number of what code sees while it is imported: this deployment with this environment.
    pub(crate) code: i64,
    /// What functions find in `process.env`.
    pub(crate) environment: HashMap<String, String>,
    /// When that deployment was staged, in whole milliseconds since 1970: what its modules see of
    /// the clock while they are imported.
    pub(crate) deployed_unix_ms: f64,
    /// Where its modules are kept evaluated.
    pub(crate) image: Option<ImagePlace>,
    /// The relation `live.active`, part of every read-set (R19).
    pub(crate) active_oid: RelId,
    /// The role that functions run as.
    pub(crate) owner: Option<String>,
    /// The Postgres schema of document tables.
    pub(crate) schema: String,
    /// What keeps handles of functions from being made up.
    pub(crate) handle_key: Option<String>,
    /// Paths of the modules for Node.js, which cannot run: what is in them is not known.
    pub(crate) node_modules: Vec<String>,
    tables: HashMap<String, Rc<Table>>,
    functions: HashMap<String, HashMap<String, Rc<Function>>>,
}

/// The row of `live.active`.
struct Active {
    version: i64,
    deployment: Option<i64>,
    code: i64,
    oid: RelId,
}

impl Active {
    fn read(access: Access) -> Result<Active> {
        spi::query_one(
            "SELECT version, deployment, code, 'live.active'::pg_catalog.regclass::pg_catalog.oid \
             FROM (SELECT) AS always LEFT JOIN live.active ON component = ''",
            &[],
            access,
            |row| {
                Ok(Active {
                    version: row.get::<i64>(0).unwrap_or(0),
                    deployment: row.get::<i64>(1),
                    code: row.get::<i64>(2).unwrap_or(0),
                    oid: row.need::<pg_sys::Oid>(3)?.to_u32(),
                })
            },
        )?
        .ok_or_else(|| Error::Catalog("live.active cannot be read".to_owned()))
    }
}

impl Catalog {
    /// The catalog at the caller's snapshot. The current user must be allowed to read it. A query that finds
    /// it unchanged by the count in shared memory asks no table; a writer always reads the row, so that it is
    /// ordered against deploys.
    pub(crate) fn current(access: Access) -> Result<Rc<Catalog>> {
        if access == Access::Read
            && let Some(kept) = freshness::current()
        {
            return Ok(kept);
        }
        let active = Active::read(access)?;
        let kept = freshness::of_version(active.version);
        if let (Access::Write, Some(kept)) = (access, &kept) {
            return Ok(Rc::clone(kept));
        }
        let catalog = match kept {
            Some(kept) => kept,
            None => Catalog::load(&active, access)
                .inspect(|catalog| js::forget_others(catalog.code))?
                .into(),
        };
        freshness::keep(&catalog, || Ok(Active::read(Access::Read)?.version))?;
        Ok(catalog)
    }

    fn load(active: &Active, access: Access) -> Result<Catalog> {
        let deployment = active.deployment;
        let settings: HashMap<String, String> = spi::query(
            "SELECT name, value FROM live.settings",
            &[],
            access,
            |row| Ok((row.need(0)?, row.need(1)?)),
        )?
        .into_iter()
        .collect();
        let mut tables = load_tables(access)?;
        if let Some(deployment) = deployment {
            attach_definitions(&mut tables, deployment, access)?;
        }
        let (deployed_unix_ms, image) = match deployment {
            Some(deployment) => deployed(deployment, active.code, access)?,
            None => (0.0, None),
        };
        Ok(Catalog {
            version: active.version,
            deployment,
            code: active.code,
            environment: environment(access)?,
            deployed_unix_ms,
            image,
            active_oid: active.oid,
            owner: settings.get("owner").cloned(),
            handle_key: settings.get("handle_key").cloned(),
            schema: settings
                .get("schema")
                .cloned()
                .unwrap_or_else(|| "public".to_owned()),
            node_modules: match deployment {
                Some(deployment) => load_node_modules(deployment, access)?,
                None => Vec::new(),
            },
            tables: tables
                .into_iter()
                .map(|t| (t.name.clone(), Rc::new(t)))
                .collect(),
            functions: match deployment {
                Some(deployment) => load_functions(deployment, access)?,
                None => HashMap::new(),
            },
        })
    }

    /// A table by name.
    pub(crate) fn table(&self, name: &str) -> Option<&Rc<Table>> {
        self.tables.get(name)
    }

    /// A table by the number in its ids.
    pub(crate) fn table_by_number(&self, number: u32) -> Option<&Rc<Table>> {
        self.tables.values().find(|table| table.number == number)
    }

    /// A table by its relation.
    pub(crate) fn table_by_oid(&self, oid: RelId) -> Option<&Rc<Table>> {
        self.tables.values().find(|table| table.oid == oid)
    }

    /// All tables.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Rc<Table>> {
        self.tables.values()
    }

    /// A function by module path and export.
    pub(crate) fn function(&self, module: &str, export: &str) -> Option<&Rc<Function>> {
        self.functions.get(module)?.get(export)
    }
}

/// What functions find in `process.env`.
pub(crate) fn environment(access: Access) -> Result<HashMap<String, String>> {
    let rows = spi::query(
        "SELECT name, value FROM live.environment WHERE component = ''",
        &[],
        access,
        |row| Ok((row.need(0)?, row.need(1)?)),
    )?;
    Ok(rows.into_iter().collect())
}

impl TableLookup for Catalog {
    fn table_number(&self, name: &str) -> Option<u32> {
        let own = self.table(name).map(|table| table.number);
        own.or_else(|| system_tables::number(name))
    }

    fn table_name(&self, number: u32) -> Option<String> {
        let own = self.table_by_number(number).map(|table| table.name.clone());
        own.or_else(|| system_tables::name(number).map(str::to_owned))
    }
}

impl Table {
    /// An index by its name in the schema.
    pub(crate) fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// The index of that name, for a query; the error is the message for the function.
    pub(crate) fn queryable_index(&self, name: &str) -> std::result::Result<&Index, String> {
        match self.index(name) {
            Some(index) if index.staged => Err(format!(
                "Index {}.{name} is currently staged and not available to query until it is \
                 enabled",
                self.name
            )),
            Some(index) => Ok(index),
            None => Err(self.other_index(name).map_or_else(
                || format!("Index {}.{name} not found.", self.name),
                |kind| {
                    format!(
                        "Index {}.{name} is a {kind} index: it cannot be used with `withIndex`, and \
                         {kind} search is not available in pg_live yet (see LIMITATIONS.md)",
                        self.name
                    )
                },
            )),
        }
    }

    /// The kind of a search or vector index of the schema.
    pub(crate) fn other_index(&self, name: &str) -> Option<&'static str> {
        let definition = self.definition.as_ref()?;
        let text = definition.search_indexes.iter().any(|i| i.name == name);
        let vector = definition.vector_indexes.iter().any(|i| i.name == name);
        text.then_some("text").or(vector.then_some("vector"))
    }

    /// The index that has this number.
    pub(crate) fn index_by_number(&self, number: IndexId) -> Option<&Index> {
        self.indexes.iter().find(|index| index.number == number)
    }
}

/// `name` as an SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as an SQL string literal.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The column type named in `live.columns`.
pub(crate) fn column_type(name: &str) -> Result<ColumnType> {
    match name {
        "text" => Ok(ColumnType::Text),
        "float8" => Ok(ColumnType::Float8),
        "int8" => Ok(ColumnType::Int8),
        "bool" => Ok(ColumnType::Bool),
        "bytea" => Ok(ColumnType::Bytea),
        "jsonb" => Ok(ColumnType::Jsonb),
        other => Err(Error::Catalog(format!("column of type {other}"))),
    }
}

/// The name of a column type in `live.columns`.
pub(crate) fn column_type_name(of: ColumnType) -> &'static str {
    match of {
        ColumnType::Text => "text",
        ColumnType::Float8 => "float8",
        ColumnType::Int8 => "int8",
        ColumnType::Bool => "bool",
        ColumnType::Bytea => "bytea",
        ColumnType::Jsonb => "jsonb",
    }
}

/// When a deployment was staged, and the place of its image under this environment.
fn deployed(deployment: i64, code: i64, access: Access) -> Result<(f64, Option<ImagePlace>)> {
    let found = spi::query_one(
        "SELECT pg_catalog.floor(extract(epoch FROM created_at) * 1000)::pg_catalog.float8, hash \
         FROM live.deployments WHERE id = $1",
        &[Param::Int8(deployment)],
        access,
        |row| {
            let (unix_ms, hash) = (row.need::<f64>(0)?, row.need::<String>(1)?);
            Ok((unix_ms, Some(images::place(code, unix_ms, &hash))))
        },
    )?;
    Ok(found.unwrap_or_default())
}

fn load_tables(access: Access) -> Result<Vec<Table>> {
    let mut columns: HashMap<String, Vec<Column>> = HashMap::new();
    spi::query(
        "SELECT \"table\", field, type FROM live.columns WHERE component = '' ORDER BY position",
        &[],
        access,
        |row| {
            let of = column_type(&row.need::<String>(2)?)?;
            columns.entry(row.need(0)?).or_default().push(Column {
                field: row.need(1)?,
                of,
            });
            Ok(())
        },
    )?;
    let mut indexes: HashMap<String, Vec<Index>> = HashMap::new();
    spi::query(
        "SELECT \"table\", name, number, fields, key, relation::text, staged FROM live.indexes \
         WHERE component = '' ORDER BY number",
        &[],
        access,
        |row| {
            let fields = row.need::<Vec<String>>(3)?;
            let fields = fields
                .iter()
                .map(|field| {
                    FieldPath::parse(field)
                        .map_err(|error| Error::Catalog(format!("index field {field}: {error}")))
                })
                .collect::<Result<Vec<_>>>()?;
            indexes.entry(row.need(0)?).or_default().push(Index {
                name: row.need(1)?,
                number: row.need::<i32>(2)? as IndexId,
                fields,
                key: row.need(4)?,
                relation: row.need(5)?,
                staged: row.need(6)?,
            });
            Ok(())
        },
    )?;
    spi::query(
        "SELECT name, number, schema::text, relation::text, \
                pg_catalog.to_regclass(pg_catalog.format('%I.%I', schema, relation))::oid \
         FROM live.tables WHERE component = ''",
        &[],
        access,
        |row| {
            let name: String = row.need(0)?;
            let relation = format!(
                "{}.{}",
                quoted(&row.need::<String>(2)?),
                quoted(&row.need::<String>(3)?)
            );
            Ok(Table {
                number: row.need::<i32>(1)? as u32,
                oid: row.get::<pg_sys::Oid>(4).map_or(0, |oid| oid.to_u32()),
                relation,
                columns: columns.remove(&name).unwrap_or_default(),
                indexes: indexes.remove(&name).unwrap_or_default(),
                definition: None,
                document_type: None,
                name,
            })
        },
    )
}

fn attach_definitions(tables: &mut [Table], deployment: i64, access: Access) -> Result<()> {
    let schema = spi::query_one(
        "SELECT schema::text FROM live.deployments WHERE id = $1",
        &[Param::Int8(deployment)],
        access,
        |row| Ok(row.get::<String>(0)),
    )?
    .flatten();
    let Some(schema) = schema else { return Ok(()) };
    let schema = pg_live_values::Schema::parse(&schema)
        .map_err(|error| Error::Catalog(format!("stored schema: {error}")))?;
    for definition in schema.tables {
        if let Some(table) = tables
            .iter_mut()
            .find(|table| table.name == definition.name)
        {
            table.document_type = schema
                .schema_validation
                .then(|| definition.document_type.clone());
            table.definition = Some(Rc::new(definition));
        }
    }
    Ok(())
}

fn load_node_modules(deployment: i64, access: Access) -> Result<Vec<String>> {
    spi::query(
        "SELECT path FROM live.modules \
         WHERE deployment = $1 AND component = '' AND environment = 'node'",
        &[Param::Int8(deployment)],
        access,
        |row| row.need(0),
    )
}

type Functions = HashMap<String, HashMap<String, Rc<Function>>>;

fn load_functions(deployment: i64, access: Access) -> Result<Functions> {
    let mut functions = Functions::new();
    spi::query(
        "SELECT module, name, kind, visibility, args::text, returns::text, context \
         FROM live.functions WHERE deployment = $1 AND component = ''",
        &[Param::Int8(deployment)],
        access,
        |row| {
            let function = Function {
                kind: FunctionKind::parse(&row.need::<String>(2)?)?,
                public: row.get::<String>(3).as_deref() == Some("public"),
                args: stored_validator(row.get(4))?,
                returns: stored_validator(row.get(5))?,
                sharing: match row.need::<String>(6)?.as_str() {
                    "reused" => Sharing::Asked,
                    "guarded" => Sharing::Proven,
                    _ => Sharing::Fresh,
                },
            };
            functions
                .entry(row.need(0)?)
                .or_default()
                .insert(row.need(1)?, Rc::new(function));
            Ok(())
        },
    )?;
    Ok(functions)
}

/// A validator as stored; SQL NULL and JSON null mean that there is none.
fn stored_validator(text: Option<String>) -> Result<Option<Validator>> {
    let Some(text) = text else { return Ok(None) };
    let json: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Error::Catalog(format!("stored validator: {error}")))?;
    if json.is_null() {
        return Ok(None);
    }
    Validator::from_json(&json)
        .map(Some)
        .map_err(|error| Error::Catalog(format!("stored validator: {error}")))
}
