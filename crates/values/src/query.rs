//! Queries as `ctx.db.query(...)` sends them: where documents come from, and what is done to them.

use serde_json::Value as Json;

use crate::field::{FieldPath, FieldPathError};
use crate::filter::{Expr, ExprError};
use crate::index_range::{Constraint, IndexName, IndexRange, Relation};
use crate::json::{JsonError, abbreviate, parse_optional};
use crate::value::Value;

/// The most operators of a query.
pub const MAX_OPERATORS: usize = 256;
/// The most equality filters of a text search.
pub const MAX_SEARCH_FILTERS: usize = 8;

/// A query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuerySpec {
    /// Where documents come from.
    pub source: Source,
    /// What is done to them, in this order.
    pub operators: Vec<Operator>,
}

/// Where the documents of a query come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// All documents of a table, by time of creation.
    FullTableScan {
        /// The table.
        table: String,
        /// The direction.
        order: Order,
    },
    /// The documents in a range of an index, in its order.
    IndexRange {
        /// The range.
        range: IndexRange,
        /// The direction.
        order: Order,
    },
    /// The documents that match a text search, by relevance.
    Search {
        /// The search index.
        index: IndexName,
        /// The field and the words to search for.
        search: (FieldPath, String),
        /// The fields that have to equal values.
        filters: Vec<(FieldPath, Option<Value>)>,
    },
}

/// The direction of a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    #[default]
    Asc,
    /// Greatest first.
    Desc,
}

/// A step after the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Passes on the documents for which the expression is true.
    Filter(Expr),
    /// Passes on the first so many documents.
    Limit(u64),
}

/// Why a query cannot be run. [`QueryError::code`] is the code that clients know.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Not a query.
    #[error("Invalid query: {reason} in {json}.")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
        /// Where, abbreviated.
        json: String,
    },
    /// More than [`MAX_OPERATORS`].
    #[error("Query has too many operators: {0} > maximum {MAX_OPERATORS}.")]
    TooManyOperators(usize),
    /// A value that cannot be decoded.
    #[error("Invalid value in a query: {0}")]
    Value(#[from] JsonError),
    /// A field path that cannot be.
    #[error("Invalid query: {0}")]
    Field(#[from] FieldPathError),
    /// A filter that is not an expression.
    #[error(transparent)]
    Filter(#[from] ExprError),
    /// The table has no such index.
    #[error("Index {0} not found.")]
    IndexNotFound(IndexName),
    /// The index is staged.
    #[error(
        "Index {0} is currently staged and not available to query until it is enabled. Remove \
         `staged: true` from it in the schema and deploy."
    )]
    IndexStaged(IndexName),
    /// The index does not have the field.
    #[error(
        "FieldNotInIndex: The index range of {index} uses the field `{field}`, which is not one of its fields: {fields}."
    )]
    FieldNotInIndex {
        /// The index.
        index: IndexName,
        /// The field.
        field: FieldPath,
        /// The fields of the index.
        fields: String,
    },
    /// A field of the index was skipped.
    #[error(
        "InvalidIndexRange: The index range of {index} must use the first fields of the index, in this order: \
         {fields}. It uses: {used}. Compare the fields before them with `.eq` too, or use another \
         index."
    )]
    InvalidIndexRange {
        /// The index.
        index: IndexName,
        /// The fields of the index.
        fields: String,
        /// The fields that the range compares.
        used: String,
    },
    /// A field has two lower or two upper bounds, or a bound beside an equality.
    #[error(
        "AlreadyDefinedBound: The index range of {index} already has a {bound} for the field `{field}`. Remove one."
    )]
    AlreadyDefinedBound {
        /// The index.
        index: IndexName,
        /// The field.
        field: FieldPath,
        /// Which bound is there twice.
        bound: &'static str,
    },
    /// More than one field has bounds other than equality.
    #[error(
        "BoundsOnMultipleFields: The index range of {index} has bounds on both `{first}` and `{second}`. Only one field can \
         be compared with `.gt`, `.gte`, `.lt` or `.lte`, after those compared with `.eq`; use \
         `.filter` for the other."
    )]
    BoundsOnMultipleFields {
        /// The index.
        index: IndexName,
        /// The field that has bounds already.
        first: FieldPath,
        /// The other field.
        second: FieldPath,
    },
    /// A text search without words.
    #[error(
        "MissingSearchFilterError: The search of {0} must have a search filter: call `q.search(...)` once."
    )]
    MissingSearchFilter(IndexName),
    /// A text search with more than one search filter.
    #[error(
        "DuplicateSearchFiltersError: The search of {0} has more than one search filter: call `q.search(...)` once."
    )]
    DuplicateSearchFilters(IndexName),
    /// A text search with more than [`MAX_SEARCH_FILTERS`].
    #[error(
        "TooManyFilterConditionsInSearchQueryError: The search of {0} has more than {MAX_SEARCH_FILTERS} equality filters. Use `.filter`."
    )]
    TooManySearchFilters(IndexName),
}

impl QueryError {
    /// The short name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            QueryError::Malformed { .. }
            | QueryError::Value(_)
            | QueryError::Field(_)
            | QueryError::Filter(_) => "InvalidQuery",
            QueryError::TooManyOperators(_) => "TooManyOperators",
            QueryError::IndexNotFound(_) => "IndexNotFoundError",
            QueryError::IndexStaged(_) => "StagedIndexError",
            QueryError::FieldNotInIndex { .. } => "FieldNotInIndex",
            QueryError::InvalidIndexRange { .. } => "InvalidIndexRange",
            QueryError::AlreadyDefinedBound { .. } => "AlreadyDefinedBound",
            QueryError::BoundsOnMultipleFields { .. } => "BoundsOnMultipleFields",
            QueryError::MissingSearchFilter(_) => "MissingSearchFilterError",
            QueryError::DuplicateSearchFilters(_) => "DuplicateSearchFiltersError",
            QueryError::TooManySearchFilters(_) => "TooManyFilterConditionsInSearchQueryError",
        }
    }
}

impl QuerySpec {
    /// Reads the JSON form of a query.
    ///
    /// # Errors
    /// If the form is not known, or the query has too many operators.
    pub fn parse(json: &Json) -> Result<QuerySpec, QueryError> {
        let source = parse_source(member(json, "source"))?;
        let operators = match member(json, "operators") {
            Json::Array(operators) => operators,
            _ => return Err(malformed("no list of operators", json)),
        };
        if operators.len() > MAX_OPERATORS {
            return Err(QueryError::TooManyOperators(operators.len()));
        }
        let operators = operators
            .iter()
            .map(parse_operator)
            .collect::<Result<_, _>>()?;
        Ok(QuerySpec { source, operators })
    }
}

impl Source {
    /// The table that is read.
    pub fn table(&self) -> &str {
        match self {
            Source::FullTableScan { table, .. } => table,
            Source::IndexRange { range, .. } => &range.index.table,
            Source::Search { index, .. } => &index.table,
        }
    }
}

fn member<'j>(json: &'j Json, key: &str) -> &'j Json {
    json.get(key).unwrap_or(&Json::Null)
}

fn malformed(reason: &'static str, json: &Json) -> QueryError {
    QueryError::Malformed {
        reason,
        json: abbreviate(&json.to_string()),
    }
}

fn parse_source(json: &Json) -> Result<Source, QueryError> {
    match member(json, "type").as_str() {
        Some("FullTableScan") => {
            let table = member(json, "tableName")
                .as_str()
                .ok_or_else(|| malformed("no table name", json))?;
            Ok(Source::FullTableScan {
                table: table.to_owned(),
                order: parse_order(json)?,
            })
        }
        Some("IndexRange") => {
            let constraints = parse_list(json, "range", parse_constraint)?;
            let range = IndexRange {
                index: parse_index_name(json)?,
                constraints,
            };
            Ok(Source::IndexRange {
                range,
                order: parse_order(json)?,
            })
        }
        Some("Search") => parse_search(json),
        _ => Err(malformed("unknown type of source", json)),
    }
}

fn parse_search(json: &Json) -> Result<Source, QueryError> {
    let index = parse_index_name(json)?;
    let mut searches = Vec::new();
    let mut filters = Vec::new();
    for filter in parse_list(json, "filters", |json| Ok(json.clone()))? {
        let field = parse_field(&filter)?;
        match (member(&filter, "type").as_str(), member(&filter, "value")) {
            (Some("Search"), Json::String(words)) => searches.push((field, words.clone())),
            (Some("Eq"), value) => filters.push((field, parse_optional(value.clone())?)),
            _ => return Err(malformed("unknown search filter", &filter)),
        }
    }
    if filters.len() > MAX_SEARCH_FILTERS {
        return Err(QueryError::TooManySearchFilters(index));
    }
    let search = match (searches.pop(), searches.is_empty()) {
        (None, _) => return Err(QueryError::MissingSearchFilter(index)),
        (Some(_), false) => return Err(QueryError::DuplicateSearchFilters(index)),
        (Some(search), true) => search,
    };
    Ok(Source::Search {
        index,
        search,
        filters,
    })
}

fn parse_list<T>(
    json: &Json,
    key: &str,
    parse: impl Fn(&Json) -> Result<T, QueryError>,
) -> Result<Vec<T>, QueryError> {
    match member(json, key) {
        Json::Array(items) => items.iter().map(parse).collect(),
        _ => Err(malformed("a list is missing", json)),
    }
}

fn parse_index_name(json: &Json) -> Result<IndexName, QueryError> {
    let name = member(json, "indexName")
        .as_str()
        .and_then(IndexName::parse);
    name.ok_or_else(|| malformed("no index name of the form `table.index`", json))
}

fn parse_order(json: &Json) -> Result<Order, QueryError> {
    match member(json, "order") {
        Json::Null => Ok(Order::Asc),
        Json::String(order) if order == "asc" => Ok(Order::Asc),
        Json::String(order) if order == "desc" => Ok(Order::Desc),
        _ => Err(malformed("the order is neither \"asc\" nor \"desc\"", json)),
    }
}

fn parse_field(json: &Json) -> Result<FieldPath, QueryError> {
    let path = member(json, "fieldPath")
        .as_str()
        .ok_or_else(|| malformed("no field", json))?;
    Ok(FieldPath::parse(path)?)
}

fn parse_constraint(json: &Json) -> Result<Constraint, QueryError> {
    let relation = match member(json, "type").as_str() {
        Some("Eq") => Relation::Eq,
        Some("Gt") => Relation::Gt,
        Some("Gte") => Relation::Gte,
        Some("Lt") => Relation::Lt,
        Some("Lte") => Relation::Lte,
        _ => return Err(malformed("unknown comparison", json)),
    };
    let value = json
        .get("value")
        .ok_or_else(|| malformed("no value", json))?;
    Ok(Constraint {
        relation,
        field: parse_field(json)?,
        value: parse_optional(value.clone())?,
    })
}

fn parse_operator(json: &Json) -> Result<Operator, QueryError> {
    match (json.get("filter"), json.get("limit")) {
        (Some(filter), None) => Ok(Operator::Filter(Expr::parse(filter)?)),
        (None, Some(limit)) => {
            let limit = limit.as_u64().or_else(|| whole_number(limit.as_f64()?));
            limit.map(Operator::Limit).ok_or_else(|| {
                malformed(
                    "the limit is not a whole number of documents, 0 or more,",
                    json,
                )
            })
        }
        _ => Err(malformed("unknown operator", json)),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked"
)]
fn whole_number(number: f64) -> Option<u64> {
    // Above 2^53 it means all documents anyway, and the cast saturates.
    (number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::any_json;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(source: &Json, operators: &Json) -> Result<QuerySpec, QueryError> {
        QuerySpec::parse(&json!({"source": source, "operators": operators}))
    }

    fn search(filters: &Json) -> Result<QuerySpec, QueryError> {
        let source = json!({"type": "Search", "indexName": "t.words", "filters": filters});
        parse(&source, &json!([]))
    }

    #[test]
    fn a_scan_with_operators() {
        let source = json!({"type": "FullTableScan", "tableName": "t", "order": null});
        let operators = json!([{"filter": {"$field": "ok"}}, {"limit": 2}, {"limit": 3.0}]);
        let spec = parse(&source, &operators).unwrap();
        assert_eq!(spec.source.table(), "t");
        assert!(matches!(
            spec.source,
            Source::FullTableScan {
                order: Order::Asc,
                ..
            }
        ));
        assert!(matches!(
            spec.operators[0],
            Operator::Filter(Expr::Field(_))
        ));
        assert_eq!(
            spec.operators[1..],
            [Operator::Limit(2), Operator::Limit(3)]
        );
    }

    #[test]
    fn an_index_range() {
        let source = json!({"type": "IndexRange", "indexName": "t.by_a", "order": "desc", "range": [
            {"type": "Eq", "fieldPath": "a", "value": {"$undefined": null}},
            {"type": "Gte", "fieldPath": "b.c", "value": 1}]});
        let spec = parse(&source, &json!([])).unwrap();
        assert_eq!(spec.source.table(), "t");
        let Source::IndexRange {
            range,
            order: Order::Desc,
        } = spec.source
        else {
            panic!("{spec:?}");
        };
        assert_eq!(range.index.to_string(), "t.by_a");
        assert_eq!(range.constraints[0].value, None);
        assert_eq!(range.constraints[1].relation, Relation::Gte);
        assert_eq!(range.constraints[1].value, Some(Value::Float64(1.0)));
    }

    #[test]
    fn a_search() {
        let words = json!({"type": "Search", "fieldPath": "a", "value": "two words"});
        let equal = json!({"type": "Eq", "fieldPath": "b", "value": 1});
        let spec = search(&json!([equal, words])).unwrap();
        let Source::Search {
            search: (_, text),
            filters,
            ..
        } = &spec.source
        else {
            panic!("{spec:?}");
        };
        assert_eq!((text.as_str(), filters.len()), ("two words", 1));
        let code = |filters: Json| search(&filters).unwrap_err().code();
        assert_eq!(code(json!([equal])), "MissingSearchFilterError");
        assert_eq!(code(json!([words, words])), "DuplicateSearchFiltersError");
        let many: Vec<&Json> = std::iter::repeat_n(&equal, 9).collect();
        assert_eq!(
            code(json!(many)),
            "TooManyFilterConditionsInSearchQueryError"
        );
        assert_eq!(
            code(json!([{"type": "Search", "fieldPath": "a", "value": 1}])),
            "InvalidQuery"
        );
    }

    #[test]
    fn other_json_is_not_a_query() {
        let scan = json!({"type": "FullTableScan", "tableName": "t", "order": "asc"});
        for operators in [
            json!(null),
            json!([{}]),
            json!([{"limit": -1}]),
            json!([{"limit": 1.5}]),
            json!([{"limit": 1, "filter": {"$field": "a"}}]),
            json!([{"filter": 1}]),
        ] {
            assert_eq!(
                parse(&scan, &operators).unwrap_err().code(),
                "InvalidQuery",
                "{operators}"
            );
        }
        let many = vec![json!({"limit": 1}); MAX_OPERATORS + 1];
        assert_eq!(
            parse(&scan, &json!(many)).unwrap_err().code(),
            "TooManyOperators"
        );
        for source in [
            json!({}),
            json!({"type": "FullTableScan", "order": null}),
            json!({"type": "FullTableScan", "tableName": "t", "order": "up"}),
            json!({"type": "IndexRange", "indexName": "t", "range": []}),
            json!({"type": "IndexRange", "indexName": "t.", "range": []}),
            json!({"type": "IndexRange", "indexName": "t.i"}),
            json!({"type": "IndexRange", "indexName": "t.i", "range": [{"type": "Eq"}]}),
            json!({"type": "IndexRange", "indexName": "t.i",
                "range": [{"type": "Ne", "fieldPath": "a", "value": 1}]}),
            json!({"type": "IndexRange", "indexName": "t.i",
                "range": [{"type": "Eq", "fieldPath": "a", "value": {"$bytes": 1}}]}),
        ] {
            assert_eq!(
                parse(&source, &json!([])).unwrap_err().code(),
                "InvalidQuery",
                "{source}"
            );
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(source in any_json(), operators in any_json()) {
            let _ = parse(&source, &operators);
        }
    }
}
