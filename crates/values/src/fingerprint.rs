//! The identity of a query: equal for equal queries over equal indexes, and, but for collisions of
//! a hash, different for all others. Cursors carry it, so that one is not used with another query.
//!
//! **The form is frozen** as long as [`crate::cursor`] has this version: clients keep cursors.

use sha2::{Digest as _, Sha256};

use crate::field::FieldPath;
use crate::filter::{Comparison, Expr, Operation};
use crate::index_range::{Constraint, IndexName, Relation};
use crate::key::encode_key;
use crate::query::{Operator, Order, QuerySpec, Source};
use crate::value::Value;

/// The length of a fingerprint.
pub const FINGERPRINT_BYTES: usize = 16;

/// The identity of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; FINGERPRINT_BYTES]);

impl Fingerprint {
    /// Of a query that reads an index with these fields, in this order. An index that got other
    /// fields makes another fingerprint; one that was only built anew does not.
    pub fn of(query: &QuerySpec, index_fields: &[FieldPath]) -> Fingerprint {
        let mut writer = Writer(Sha256::new());
        writer.source(&query.source);
        writer.list(index_fields, Writer::path);
        writer.list(&query.operators, Writer::operator);
        let digest = writer.0.finalize();
        let mut bytes = [0; FINGERPRINT_BYTES];
        bytes.copy_from_slice(&digest[..FINGERPRINT_BYTES]);
        Fingerprint(bytes)
    }
}

/// Hashes parts so that no two sequences of parts hash the same bytes: each is of a fixed length,
/// or has its length before it.
struct Writer(Sha256);

impl Writer {
    fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }

    fn length(&mut self, length: usize) {
        self.0.update((length as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.update(bytes);
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Writer, &T)) {
        self.length(items.len());
        items.iter().for_each(|item| write(self, item));
    }

    fn path(&mut self, path: &FieldPath) {
        self.bytes(path.to_string().as_bytes());
    }

    /// The key encoding tells all values apart; a long one is cut and hashed there.
    fn value(&mut self, value: Option<&Value>) {
        self.bytes(&encode_key([value]));
    }

    fn index(&mut self, index: &IndexName) {
        self.bytes(index.table.as_bytes());
        self.bytes(index.index.as_bytes());
    }

    fn order(&mut self, order: Order) {
        self.tag(match order {
            Order::Asc => 0,
            Order::Desc => 1,
        });
    }

    fn source(&mut self, source: &Source) {
        match source {
            Source::FullTableScan { table, order } => {
                self.tag(0);
                self.bytes(table.as_bytes());
                self.order(*order);
            }
            Source::IndexRange { range, order } => {
                self.tag(1);
                self.index(&range.index);
                self.list(&range.constraints, Writer::constraint);
                self.order(*order);
            }
            Source::Search {
                index,
                search: (field, words),
                filters,
            } => {
                self.tag(2);
                self.index(index);
                self.path(field);
                self.bytes(words.as_bytes());
                self.list(filters, |writer, (field, value)| {
                    writer.path(field);
                    writer.value(value.as_ref());
                });
            }
        }
    }

    fn constraint(&mut self, constraint: &Constraint) {
        self.tag(match constraint.relation {
            Relation::Eq => 0,
            Relation::Gt => 1,
            Relation::Gte => 2,
            Relation::Lt => 3,
            Relation::Lte => 4,
        });
        self.path(&constraint.field);
        self.value(constraint.value.as_ref());
    }

    fn operator(&mut self, operator: &Operator) {
        match operator {
            Operator::Filter(expression) => {
                self.tag(0);
                self.expression(expression);
            }
            Operator::Limit(rows) => {
                self.tag(1);
                self.0.update(rows.to_le_bytes());
            }
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Compare(comparison, operands) => {
                self.tag(0);
                self.tag(match comparison {
                    Comparison::Equal => 0,
                    Comparison::NotEqual => 1,
                    Comparison::Less => 2,
                    Comparison::LessOrEqual => 3,
                    Comparison::Greater => 4,
                    Comparison::GreaterOrEqual => 5,
                });
                self.list(operands.as_slice(), Writer::expression);
            }
            Expr::Arithmetic(operation, operands) => {
                self.tag(1);
                self.tag(match operation {
                    Operation::Add => 0,
                    Operation::Subtract => 1,
                    Operation::Multiply => 2,
                    Operation::Divide => 3,
                    Operation::Remainder => 4,
                });
                self.list(operands.as_slice(), Writer::expression);
            }
            Expr::Negate(operand) => {
                self.tag(2);
                self.expression(operand);
            }
            Expr::Not(operand) => {
                self.tag(3);
                self.expression(operand);
            }
            Expr::And(operands) => {
                self.tag(4);
                self.list(operands, Writer::expression);
            }
            Expr::Or(operands) => {
                self.tag(5);
                self.list(operands, Writer::expression);
            }
            Expr::Field(path) => {
                self.tag(6);
                self.path(path);
            }
            Expr::Literal(value) => {
                self.tag(7);
                self.value(value.as_ref());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use crate::testing::any_json;

    fn of(query: &Json, fields: &[&str]) -> Fingerprint {
        let fields: Vec<FieldPath> = fields
            .iter()
            .map(|field| FieldPath::parse(field).unwrap())
            .collect();
        Fingerprint::of(&QuerySpec::parse(query).unwrap(), &fields)
    }

    fn range(constraints: &Json, order: &str, operators: &Json) -> Json {
        json!({"source": {"type": "IndexRange", "indexName": "t.by_a", "range": constraints,
            "order": order}, "operators": operators})
    }

    #[test]
    fn the_form_is_frozen() {
        let query = range(
            &json!([{"type": "Eq", "fieldPath": "a", "value": "x"}]),
            "desc",
            &json!([{"filter": {"$gt": [{"$field": "b"}, {"$literal": {"$undefined": null}}]}}]),
        );
        let Fingerprint(bytes) = of(&query, &["a", "_creationTime"]);
        assert_eq!(hex::encode(bytes), "875c8a11e047533b27cbc358b2c21f00");
    }

    #[test]
    fn every_part_of_a_query_counts() {
        let eq =
            |field: &str, value: Json| json!([{"type": "Eq", "fieldPath": field, "value": value}]);
        let filter = |expression: Json| json!([{"filter": expression}]);
        let field = |name: &str| json!({"$field": name});
        let pair = |operator: &str| filter(json!({operator: [field("a"), field("b")]}));
        let none = json!([]);
        let mut queries = vec![
            range(&none, "asc", &none),
            range(&none, "desc", &none),
            range(&eq("a", json!(1)), "asc", &none),
            range(&eq("a", json!(2)), "asc", &none),
            range(&eq("a", json!({"$integer": "AQAAAAAAAAA="})), "asc", &none),
            range(&eq("a", json!({"$undefined": null})), "asc", &none),
            range(&eq("a", json!(null)), "asc", &none),
            range(&eq("b", json!(1)), "asc", &none),
            range(
                &json!([{"type": "Gte", "fieldPath": "a", "value": 1}]),
                "asc",
                &none,
            ),
            range(&none, "asc", &json!([{"limit": 1}])),
            range(&none, "asc", &filter(field("a"))),
            range(&none, "asc", &filter(json!({"$not": field("a")}))),
            range(&none, "asc", &filter(json!({"$neg": field("a")}))),
            range(&none, "asc", &filter(json!({"$literal": "a"}))),
            range(
                &none,
                "asc",
                &json!([{"filter": field("a")}, {"filter": field("b")}]),
            ),
            json!({"source": {"type": "FullTableScan", "tableName": "t"}, "operators": []}),
            json!({"source": {"type": "FullTableScan", "tableName": "u"}, "operators": []}),
        ];
        for operator in [
            "$eq", "$neq", "$lt", "$lte", "$gt", "$gte", "$add", "$sub", "$mul", "$div", "$mod",
            "$and", "$or",
        ] {
            queries.push(range(&none, "asc", &pair(operator)));
        }
        let mut seen = std::collections::HashMap::new();
        for query in &queries {
            let other = seen.insert(of(query, &["a"]), query);
            assert!(other.is_none(), "{query} and {other:?}");
        }
        assert_ne!(of(&queries[0], &["a"]), of(&queries[0], &["a", "b"]));
    }

    #[test]
    fn spelling_does_not_count() {
        let null = json!({"source": {"order": null, "tableName": "t", "type": "FullTableScan"},
            "operators": [{"filter": {"$eq": [{"$literal": 1}, {"$literal": 2.0}]}}]});
        let asc = json!({"operators": [{"filter": {"$eq": [{"$literal": 1.0}, {"$literal": 2}]}}],
            "source": {"type": "FullTableScan", "tableName": "t", "order": "asc"}});
        assert_eq!(of(&null, &[]), of(&asc, &[]));
    }

    proptest! {
        #[test]
        fn equal_queries_have_equal_fingerprints(left in any_json(), right in any_json()) {
            let source = json!({"type": "FullTableScan", "tableName": "t"});
            let spec = |filter: &Json| {
                QuerySpec::parse(&json!({"source": source, "operators": [{"filter": filter}]}))
            };
            if let (Ok(left), Ok(right)) = (spec(&left), spec(&right)) {
                let equal = Fingerprint::of(&left, &[]) == Fingerprint::of(&right, &[]);
                prop_assert_eq!(equal, left == right);
            }
        }
    }
}
