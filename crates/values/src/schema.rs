//! The schema of a deployment, as `schema.export()` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value as Json;

use crate::column::{ColumnType, document_columns};
use crate::field::FieldPath;
use crate::limits::{is_identifier, is_system_field};
use crate::validation::{TableLookup, ValidationError};
use crate::validator::Validator;
use crate::value::Value;

/// The most tables of a schema.
pub const MAX_TABLES: usize = 10_000;
/// The most indexes of a table, of all kinds together.
pub const MAX_INDEXES: usize = 64;
/// The most fields of an index, and the most filter fields of a search or vector index.
pub const MAX_INDEX_FIELDS: usize = 16;

/// The tables of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// In the order of the export.
    pub tables: Vec<TableSchema>,
    /// Whether documents have to match their table's type.
    pub schema_validation: bool,
}

/// A table of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// Its name.
    pub name: String,
    /// What documents have to match, system fields aside: an object, a union of objects or any.
    pub document_type: Validator,
    /// A type to be tried on the documents, but not enforced yet.
    pub staged_document_type: Option<Validator>,
    /// The ordinary indexes, staged ones included; the built-in ones are not listed.
    pub indexes: Vec<IndexSchema>,
    /// The text search indexes, staged ones included.
    pub search_indexes: Vec<SearchIndexSchema>,
    /// The vector indexes, staged ones included.
    pub vector_indexes: Vec<VectorIndexSchema>,
}

/// An ordinary index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSchema {
    /// Its name, unique in its table.
    pub name: String,
    /// Its fields as declared, without `_creationTime`.
    pub fields: Vec<FieldPath>,
    /// Whether it is to be built but may not be queried yet.
    pub staged: bool,
}

/// A text search index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchIndexSchema {
    /// Its name, unique in its table.
    pub name: String,
    /// The field whose words are indexed.
    pub search_field: FieldPath,
    /// The fields that searches may compare.
    pub filter_fields: Vec<FieldPath>,
    /// Whether it is to be built but may not be queried yet.
    pub staged: bool,
}

/// A vector index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorIndexSchema {
    /// Its name, unique in its table.
    pub name: String,
    /// The field with the vector.
    pub vector_field: FieldPath,
    /// The length of the vectors, 2 to 4096.
    pub dimensions: u32,
    /// The fields that searches may compare.
    pub filter_fields: Vec<FieldPath>,
    /// Whether it is to be built but may not be queried yet.
    pub staged: bool,
}

/// Which rule a schema breaks. Printed, it is the code that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names are the codes, the message says what is wrong"
)]
pub enum SchemaErrorCode {
    EmptyIndex,
    FieldsNotUniqueWithinIndex,
    IndexNotUnique,
    SearchIndexFieldNotUnique,
    VectorIndexFieldNotUnique,
    IndexFieldsContainId,
    IndexFieldsContainCreationTime,
    IndexFieldNameReserved,
    IndexNameReserved,
    IndexNamesNotUnique,
    InvalidIndexName,
    InvalidTableName,
    TableNameReserved,
    TooManyIndexes,
    TooManyTables,
    IndexTooManyFields,
    InvalidSchema,
}

impl fmt::Display for SchemaErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why an export is not a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SchemaError {
    /// Which rule is broken.
    pub code: SchemaErrorCode,
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl Schema {
    /// Reads and checks what `schema.export()` returns.
    ///
    /// # Errors
    /// The first rule that is broken, with its code.
    pub fn parse(export_json: &str) -> Result<Schema, SchemaError> {
        let json: Json = serde_json::from_str(export_json)
            .map_err(|error| invalid(format!("The exported schema is not JSON: {error}.")))?;
        let tables = member(&json, "tables")
            .as_array()
            .ok_or_else(|| invalid("The exported schema has no tables.".to_owned()))?;
        if tables.len() > MAX_TABLES {
            let message = format!(
                "The schema has {} tables, at most {MAX_TABLES}.",
                tables.len()
            );
            return Err(fail(SchemaErrorCode::TooManyTables, message));
        }
        let tables = tables
            .iter()
            .map(parse_table)
            .collect::<Result<Vec<_>, _>>()?;
        let mut names = BTreeSet::new();
        if let Some(twice) = tables.iter().find(|table| !names.insert(&table.name)) {
            return Err(invalid(format!("Table `{}` is defined twice.", twice.name)));
        }
        let schema_validation = member(&json, "schemaValidation").as_bool().unwrap_or(false);
        Ok(Schema {
            tables,
            schema_validation,
        })
    }

    /// The table of the name.
    pub fn table(&self, name: &str) -> Option<&TableSchema> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl TableSchema {
    /// The fields that get columns, with the types of the columns.
    pub fn columns(&self) -> BTreeMap<String, ColumnType> {
        document_columns(&self.document_type)
    }

    /// Whether a document, with or without its system fields, matches the table's type.
    ///
    /// # Errors
    /// The first mismatch.
    pub fn check_document(
        &self,
        document: &Value,
        tables: &dyn TableLookup,
    ) -> Result<(), ValidationError> {
        self.document_type.check_document(document, tables)
    }
}

impl IndexSchema {
    /// The fields by which range expressions select: those declared, then `_creationTime`. The
    /// index key has these and the document's id.
    pub fn range_fields(&self) -> Vec<FieldPath> {
        let mut fields = self.fields.clone();
        fields.push(FieldPath::creation_time());
        fields
    }
}

fn fail(code: SchemaErrorCode, message: String) -> SchemaError {
    SchemaError { code, message }
}

fn invalid(message: String) -> SchemaError {
    fail(SchemaErrorCode::InvalidSchema, message)
}

fn member<'j>(json: &'j Json, key: &str) -> &'j Json {
    json.get(key).unwrap_or(&Json::Null)
}

fn parse_table(json: &Json) -> Result<TableSchema, SchemaError> {
    let name = member(json, "tableName")
        .as_str()
        .ok_or_else(|| invalid("A table of the exported schema has no name.".to_owned()))?;
    check_table_name(name)?;
    let document_type = parse_document_type(name, member(json, "documentType"))?;
    let staged_document_type = match member(json, "stagedDocumentType") {
        Json::Null => None,
        staged => Some(parse_document_type(name, staged)?),
    };
    let table = TableSchema {
        name: name.to_owned(),
        document_type,
        staged_document_type,
        indexes: parse_both(json, name, ["indexes", "stagedDbIndexes"], parse_index)?,
        search_indexes: parse_both(
            json,
            name,
            ["searchIndexes", "stagedSearchIndexes"],
            parse_search_index,
        )?,
        vector_indexes: parse_both(
            json,
            name,
            ["vectorIndexes", "stagedVectorIndexes"],
            parse_vector_index,
        )?,
    };
    check_index_names(&table)?;
    Ok(table)
}

/// Checks the name of a table of the user.
///
/// # Errors
/// `InvalidTableName`, or `TableNameReserved` if it begins with `_`.
pub fn check_table_name(name: &str) -> Result<(), SchemaError> {
    if !is_identifier(name) {
        let message = format!(
            "Invalid table name `{name}`: use at most 64 letters, digits and underscores, not \
             beginning with a digit."
        );
        return Err(fail(SchemaErrorCode::InvalidTableName, message));
    }
    if name.starts_with('_') {
        let message = format!("Invalid table name {name} starts with metadata prefix '_'");
        return Err(fail(SchemaErrorCode::TableNameReserved, message));
    }
    Ok(())
}

fn parse_document_type(table: &str, json: &Json) -> Result<Validator, SchemaError> {
    let validator = Validator::from_json(json)
        .map_err(|error| invalid(format!("The type of table `{table}` is wrong: {error}")))?;
    check_document_type(table, &validator)?;
    Ok(validator)
}

fn check_document_type(table: &str, validator: &Validator) -> Result<(), SchemaError> {
    match validator {
        Validator::Any => Ok(()),
        Validator::Union(members) => members
            .iter()
            .try_for_each(|member| check_document_type(table, member)),
        Validator::Object(fields) => {
            let reserved = |name: &&String| name.starts_with('_') && !is_system_field(name);
            match fields.keys().find(reserved) {
                None => Ok(()),
                Some(name) => Err(invalid(format!(
                    "Table `{table}` has a field `{name}`: names that begin with an underscore \
                     are reserved for system fields. Rename the field."
                ))),
            }
        }
        Validator::Null
        | Validator::Float64
        | Validator::Int64
        | Validator::Boolean
        | Validator::String
        | Validator::Bytes
        | Validator::Literal(_)
        | Validator::Id(_)
        | Validator::Array(_)
        | Validator::Record { .. } => Err(invalid(format!(
            "The type of table `{table}` must be an object, a union of objects or any, not \
             {validator}."
        ))),
    }
}

/// What the two lists of a kind hold: those in force and those staged.
fn parse_both<T>(
    json: &Json,
    table: &str,
    lists: [&str; 2],
    parse: impl Fn(&Json, &IndexName, bool) -> Result<T, SchemaError>,
) -> Result<Vec<T>, SchemaError> {
    let mut parsed = Vec::new();
    for (list, staged) in lists.into_iter().zip([false, true]) {
        let items = match member(json, list) {
            Json::Null => continue,
            Json::Array(items) => items,
            _ => {
                return Err(invalid(format!(
                    "`{list}` of table `{table}` is not a list."
                )));
            }
        };
        for item in items {
            let name = IndexName::parse(table, item)?;
            parsed.push(parse(item, &name, staged)?);
        }
    }
    Ok(parsed)
}

/// The name of an index with that of its table, for messages.
struct IndexName {
    table: String,
    index: String,
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.index)
    }
}

impl IndexName {
    fn parse(table: &str, json: &Json) -> Result<IndexName, SchemaError> {
        let index = member(json, "indexDescriptor")
            .as_str()
            .ok_or_else(|| invalid(format!("An index of table `{table}` has no name.")))?;
        let name = IndexName {
            table: table.to_owned(),
            index: index.to_owned(),
        };
        if index.starts_with('_') || matches!(index, "by_id" | "by_creation_time") {
            let message = format!(
                "Index {name} has a reserved name: `by_id`, `by_creation_time` and names that \
                 begin with an underscore are the system's. Rename the index."
            );
            return Err(fail(SchemaErrorCode::IndexNameReserved, message));
        }
        if !is_identifier(index) {
            let message = format!(
                "Index {name} has an invalid name: use at most 64 letters, digits and \
                 underscores, not beginning with a digit."
            );
            return Err(fail(SchemaErrorCode::InvalidIndexName, message));
        }
        Ok(name)
    }
}

fn parse_index(json: &Json, name: &IndexName, staged: bool) -> Result<IndexSchema, SchemaError> {
    let fields = parse_fields(json, "fields", name)?;
    if fields.is_empty() {
        let message = format!("Index {name} must have at least one field.");
        return Err(fail(SchemaErrorCode::EmptyIndex, message));
    }
    if let Some(last) = fields
        .iter()
        .find(|field| **field == FieldPath::creation_time())
    {
        let message = format!(
            "Index {name} lists `{last}`, which is added to every index by itself. Remove it."
        );
        return Err(fail(
            SchemaErrorCode::IndexFieldsContainCreationTime,
            message,
        ));
    }
    check_index_fields(&fields, name, SchemaErrorCode::FieldsNotUniqueWithinIndex)?;
    Ok(IndexSchema {
        name: name.index.clone(),
        fields,
        staged,
    })
}

fn parse_search_index(
    json: &Json,
    name: &IndexName,
    staged: bool,
) -> Result<SearchIndexSchema, SchemaError> {
    let search_field = parse_field(member(json, "searchField"), name)?;
    let filter_fields = parse_fields(json, "filterFields", name)?;
    let twice = SchemaErrorCode::SearchIndexFieldNotUnique;
    check_index_fields(&filter_fields, name, twice)?;
    check_index_fields(std::slice::from_ref(&search_field), name, twice)?;
    Ok(SearchIndexSchema {
        name: name.index.clone(),
        search_field,
        filter_fields,
        staged,
    })
}

fn parse_vector_index(
    json: &Json,
    name: &IndexName,
    staged: bool,
) -> Result<VectorIndexSchema, SchemaError> {
    let vector_field = parse_field(member(json, "vectorField"), name)?;
    let filter_fields = parse_fields(json, "filterFields", name)?;
    let twice = SchemaErrorCode::VectorIndexFieldNotUnique;
    check_index_fields(&filter_fields, name, twice)?;
    check_index_fields(std::slice::from_ref(&vector_field), name, twice)?;
    let dimensions = member(json, "dimensions").as_f64().unwrap_or(0.0);
    if dimensions.fract() != 0.0 || !(2.0..=4096.0).contains(&dimensions) {
        return Err(invalid(format!(
            "Vector index {name} has {dimensions} dimensions: give a whole number from 2 to 4096."
        )));
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    let dimensions = dimensions as u32;
    Ok(VectorIndexSchema {
        name: name.index.clone(),
        vector_field,
        dimensions,
        filter_fields,
        staged,
    })
}

fn parse_fields(json: &Json, key: &str, name: &IndexName) -> Result<Vec<FieldPath>, SchemaError> {
    match member(json, key) {
        Json::Null => Ok(Vec::new()),
        Json::Array(fields) => fields
            .iter()
            .map(|field| parse_field(field, name))
            .collect(),
        _ => Err(invalid(format!("`{key}` of index {name} is not a list."))),
    }
}

fn parse_field(json: &Json, name: &IndexName) -> Result<FieldPath, SchemaError> {
    let path = json
        .as_str()
        .ok_or_else(|| invalid(format!("A field of index {name} is not a string.")))?;
    FieldPath::parse(path).map_err(|error| invalid(format!("Index {name}: {error}")))
}

/// `twice` is the code for a field that is listed twice.
fn check_index_fields(
    fields: &[FieldPath],
    name: &IndexName,
    twice: SchemaErrorCode,
) -> Result<(), SchemaError> {
    if fields.len() > MAX_INDEX_FIELDS {
        let message = format!(
            "Index {name} has {} fields, at most {MAX_INDEX_FIELDS}.",
            fields.len()
        );
        return Err(fail(SchemaErrorCode::IndexTooManyFields, message));
    }
    let mut seen = BTreeSet::new();
    for field in fields {
        if *field == FieldPath::id() {
            let message = format!("Index {name} lists `_id`, which every index has. Remove it.");
            return Err(fail(SchemaErrorCode::IndexFieldsContainId, message));
        }
        if field.top().starts_with('_') && *field != FieldPath::creation_time() {
            let message = format!(
                "Index {name} lists `{field}`: names that begin with an underscore are reserved."
            );
            return Err(fail(SchemaErrorCode::IndexFieldNameReserved, message));
        }
        if !seen.insert(field) {
            let message = format!("Index {name} lists `{field}` twice. Remove one.");
            return Err(fail(twice, message));
        }
    }
    Ok(())
}

fn check_index_names(table: &TableSchema) -> Result<(), SchemaError> {
    let kinds: [Vec<&str>; 3] = [
        table.indexes.iter().map(|i| i.name.as_str()).collect(),
        table
            .search_indexes
            .iter()
            .map(|i| i.name.as_str())
            .collect(),
        table
            .vector_indexes
            .iter()
            .map(|i| i.name.as_str())
            .collect(),
    ];
    let count: usize = kinds.iter().map(Vec::len).sum();
    if count > MAX_INDEXES {
        let message = format!(
            "Table `{}` has {count} indexes, at most {MAX_INDEXES}.",
            table.name
        );
        return Err(fail(SchemaErrorCode::TooManyIndexes, message));
    }
    for kind in &kinds {
        if let Some(twice) = first_twice(kind.iter().copied()) {
            let message = format!(
                "Index {}.{twice} is defined twice. Remove one, or rename it.",
                table.name
            );
            return Err(fail(SchemaErrorCode::IndexNotUnique, message));
        }
    }
    if let Some(twice) = first_twice(kinds.into_iter().flatten()) {
        let message = format!(
            "Table `{}` has two indexes named `{twice}`. Rename one: names are unique across \
             ordinary, search and vector indexes.",
            table.name
        );
        return Err(fail(SchemaErrorCode::IndexNamesNotUnique, message));
    }
    Ok(())
}

fn first_twice<'n>(mut names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = BTreeSet::new();
    names.find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Tables, object};
    use serde_json::json;

    /// A schema of one table `t` with the given members besides its name and type.
    fn export(members: Json) -> String {
        let mut table = json!({
            "tableName": "t",
            "indexes": [],
            "documentType": {"type": "object", "value": {
                "a": {"fieldType": {"type": "string"}, "optional": false}}},
        });
        if let (Json::Object(table), Json::Object(members)) = (&mut table, members) {
            table.extend(members);
        }
        json!({"tables": [table], "schemaValidation": true}).to_string()
    }

    fn code(members: Json) -> SchemaErrorCode {
        Schema::parse(&export(members)).unwrap_err().code
    }

    fn index(name: &str, fields: &[&str]) -> Json {
        json!({"indexDescriptor": name, "fields": fields})
    }

    #[test]
    fn everything_is_read() {
        let text = export(json!({
            "indexes": [index("by_a", &["a", "b.c"])],
            "stagedDbIndexes": [index("by_b", &["b"])],
            "searchIndexes": [
                {"indexDescriptor": "search", "searchField": "a", "filterFields": ["b"]}],
            "stagedSearchIndexes": [],
            "vectorIndexes": [{"indexDescriptor": "vector", "vectorField": "v",
                "dimensions": 3, "filterFields": []}],
            "stagedVectorIndexes": [],
            "stagedDocumentType": {"type": "any"},
        }));
        let schema = Schema::parse(&text).unwrap();
        assert!(schema.schema_validation);
        let table = schema.table("t").unwrap();
        assert_eq!(schema.table("x"), None);
        assert_eq!(table.staged_document_type, Some(Validator::Any));
        let names: Vec<_> = table
            .indexes
            .iter()
            .map(|i| (i.name.as_str(), i.staged))
            .collect();
        assert_eq!(names, [("by_a", false), ("by_b", true)]);
        let fields: Vec<_> = table.indexes[0]
            .range_fields()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(fields, ["a", "b.c", "_creationTime"]);
        assert_eq!(table.search_indexes[0].filter_fields.len(), 1);
        assert_eq!(table.vector_indexes[0].dimensions, 3);
        assert_eq!(table.columns(), [("a".to_owned(), ColumnType::Text)].into());
        let document = object(&[("_id", Value::from("x")), ("a", Value::from("y"))]);
        assert!(table.check_document(&document, &Tables).is_ok());
        assert!(table.check_document(&object(&[]), &Tables).is_err());
    }

    #[test]
    fn validation_is_off_when_the_export_does_not_say() {
        let schema = Schema::parse(r#"{"tables": []}"#).unwrap();
        assert_eq!(
            schema,
            Schema {
                tables: vec![],
                schema_validation: false
            }
        );
    }

    #[test]
    fn indexes_are_checked() {
        use SchemaErrorCode as C;
        let many: Vec<String> = (0..65).map(|n| format!("f{n}")).collect();
        let fields: Vec<&str> = many.iter().map(String::as_str).collect();
        let indexes: Vec<Json> = fields.iter().map(|name| index(name, &["a"])).collect();
        let cases = [
            (index("i", &[]), C::EmptyIndex),
            (index("i", &["a", "a"]), C::FieldsNotUniqueWithinIndex),
            (index("i", &["_id"]), C::IndexFieldsContainId),
            (
                index("i", &["a", "_creationTime"]),
                C::IndexFieldsContainCreationTime,
            ),
            (index("i", &["_x"]), C::IndexFieldNameReserved),
            (index("i", &fields[..17]), C::IndexTooManyFields),
            (index("i", &["a..b"]), C::InvalidSchema),
            (index("by_id", &["a"]), C::IndexNameReserved),
            (index("by_creation_time", &["a"]), C::IndexNameReserved),
            (index("_i", &["a"]), C::IndexNameReserved),
            (index("a-b", &["a"]), C::InvalidIndexName),
            (json!({}), C::InvalidSchema),
        ];
        for (index, expected) in cases {
            assert_eq!(code(json!({"indexes": [index]})), expected, "{index}");
        }
        assert_eq!(code(json!({"indexes": indexes})), C::TooManyIndexes);
        let twice = json!({
            "indexes": [index("i", &["a"])],
            "searchIndexes": [{"indexDescriptor": "i", "searchField": "a", "filterFields": []}],
        });
        assert_eq!(code(twice), C::IndexNamesNotUnique);
        let same = json!({
            "indexes": [index("i", &["a"])], "stagedDbIndexes": [index("i", &["b"])]});
        assert_eq!(code(same), C::IndexNotUnique);
        let search = json!({"searchIndexes": [
            {"indexDescriptor": "s", "searchField": "a", "filterFields": ["b", "b"]}]});
        assert_eq!(code(search), C::SearchIndexFieldNotUnique);
        let vector = json!({"vectorIndexes": [{"indexDescriptor": "v", "vectorField": "a",
            "dimensions": 2, "filterFields": ["b", "b"]}]});
        assert_eq!(code(vector), C::VectorIndexFieldNotUnique);
        let flat = json!({"vectorIndexes": [
            {"indexDescriptor": "v", "vectorField": "v", "dimensions": 1.5, "filterFields": []}]});
        assert_eq!(code(flat), C::InvalidSchema);
    }

    #[test]
    fn tables_are_checked() {
        use SchemaErrorCode as C;
        for (name, expected) in [
            ("_t", C::TableNameReserved),
            ("t-t", C::InvalidTableName),
            ("", C::InvalidTableName),
            ("__", C::InvalidTableName),
        ] {
            assert_eq!(code(json!({"tableName": name})), expected, "{name}");
        }
        let reserved = json!({"type": "object", "value": {
            "_x": {"fieldType": {"type": "any"}, "optional": true}}});
        for document_type in [json!({"type": "string"}), json!({}), reserved] {
            assert_eq!(
                code(json!({"documentType": document_type})),
                C::InvalidSchema
            );
        }
        let table = json!({"tableName": "t", "documentType": {"type": "any"}});
        let twice = json!({"tables": [table, table]}).to_string();
        assert_eq!(Schema::parse(&twice).unwrap_err().code, C::InvalidSchema);
        let many = json!({"tables": vec![table; MAX_TABLES + 1]}).to_string();
        assert_eq!(
            Schema::parse(&many).unwrap_err().code.to_string(),
            "TooManyTables"
        );
        assert!(Schema::parse("[").is_err());
        assert!(Schema::parse("{}").is_err());
    }
}
