//! Ranges of indexes, and the rule which of them an index can answer.

use std::fmt;
use std::ops::Bound;

use crate::field::FieldPath;
use crate::key::{KeyRange, range_bounds};
use crate::query::QueryError;
use crate::value::Value;

/// The name of an index with that of its table: `messages.by_author`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexName {
    /// The table.
    pub table: String,
    /// The index.
    pub index: String,
}

/// A range of an index, as `withIndex(name, q => q.eq(...).gt(...))` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRange {
    /// The index.
    pub index: IndexName,
    /// What the fields have to satisfy.
    pub constraints: Vec<Constraint>,
}

/// What one field of an index range has to satisfy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// How the field compares to the value.
    pub relation: Relation,
    /// The field.
    pub field: FieldPath,
    /// The value; `None` is `undefined`.
    pub value: Option<Value>,
}

/// How a field compares to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Relation {
    Eq,
    Gt,
    Gte,
    Lt,
    Lte,
}

/// An index range in terms of the index: its first fields equal `prefix`, the next one is within
/// the bounds. `None` values are `undefined`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedRange {
    /// The values of the first fields.
    pub prefix: Vec<Option<Value>>,
    /// The lower bound of the next field.
    pub lower: Bound<Option<Value>>,
    /// The upper bound of the next field.
    pub upper: Bound<Option<Value>>,
}

impl IndexName {
    /// Reads `table.index`; `None` if there is no dot or a part is empty.
    pub fn parse(name: &str) -> Option<IndexName> {
        let (table, index) = name.split_once('.')?;
        let whole = !table.is_empty() && !index.is_empty();
        whole.then(|| IndexName {
            table: table.to_owned(),
            index: index.to_owned(),
        })
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.index)
    }
}

impl IndexRange {
    /// The range in terms of an index with these fields (those declared, then `_creationTime`).
    /// Fields compared with `.eq`, then at most one with other bounds, have to be the first ones
    /// of the index; in which order the constraints are given does not matter.
    ///
    /// # Errors
    /// `FieldNotInIndex`, `AlreadyDefinedBound`, `BoundsOnMultipleFields` or `InvalidIndexRange`.
    pub fn resolve(&self, index_fields: &[FieldPath]) -> Result<ResolvedRange, QueryError> {
        let mut equal = vec![None; index_fields.len()];
        let mut bounded = None;
        let (mut lower, mut upper) = (Bound::Unbounded, Bound::Unbounded);
        for constraint in &self.constraints {
            let position = self.position(&constraint.field, index_fields)?;
            let value = || constraint.value.clone();
            let bound = match constraint.relation {
                Relation::Eq => {
                    let twice = equal[position].is_some() || bounded == Some(position);
                    self.once(twice, constraint, "bound")?;
                    equal[position] = Some(value());
                    continue;
                }
                Relation::Gt | Relation::Lt => Bound::Excluded(value()),
                Relation::Gte | Relation::Lte => Bound::Included(value()),
            };
            self.once(equal[position].is_some(), constraint, "bound")?;
            let first = *bounded.get_or_insert(position);
            if first != position {
                return Err(QueryError::BoundsOnMultipleFields {
                    index: self.index.clone(),
                    first: index_fields[first].clone(),
                    second: constraint.field.clone(),
                });
            }
            let (side, name) = match constraint.relation {
                Relation::Gt | Relation::Gte => (&mut lower, "lower bound"),
                Relation::Eq | Relation::Lt | Relation::Lte => (&mut upper, "upper bound"),
            };
            self.once(*side != Bound::Unbounded, constraint, name)?;
            *side = bound;
        }
        let used = equal.iter().flatten().count();
        let prefix: Vec<_> = equal.into_iter().map_while(|value| value).collect();
        if prefix.len() != used || bounded.is_some_and(|position| position != used) {
            return Err(self.not_a_prefix(index_fields));
        }
        Ok(ResolvedRange {
            prefix,
            lower,
            upper,
        })
    }

    fn position(&self, field: &FieldPath, index_fields: &[FieldPath]) -> Result<usize, QueryError> {
        index_fields
            .iter()
            .position(|known| known == field)
            .ok_or_else(|| QueryError::FieldNotInIndex {
                index: self.index.clone(),
                field: field.clone(),
                fields: listed(index_fields),
            })
    }

    fn once(
        &self,
        twice: bool,
        constraint: &Constraint,
        bound: &'static str,
    ) -> Result<(), QueryError> {
        if !twice {
            return Ok(());
        }
        Err(QueryError::AlreadyDefinedBound {
            index: self.index.clone(),
            field: constraint.field.clone(),
            bound,
        })
    }

    fn not_a_prefix(&self, index_fields: &[FieldPath]) -> QueryError {
        QueryError::InvalidIndexRange {
            index: self.index.clone(),
            fields: listed(index_fields),
            used: listed(self.constraints.iter().map(|constraint| &constraint.field)),
        }
    }
}

impl ResolvedRange {
    /// The keys of the range.
    pub fn key_range(&self) -> KeyRange {
        range_bounds(&self.prefix, self.lower.as_ref(), self.upper.as_ref())
    }

    /// Whether a document with these values of the index's fields is in the range. Needed where
    /// [`KeyRange::exact`] is false.
    pub fn contains(&self, fields: &[Option<Value>]) -> bool {
        let begins = fields.len() >= self.prefix.len()
            && self
                .prefix
                .iter()
                .zip(fields)
                .all(|(wanted, value)| wanted == value);
        let Some(next) = fields.get(self.prefix.len()) else {
            return begins;
        };
        let above = match &self.lower {
            Bound::Included(bound) => next >= bound,
            Bound::Excluded(bound) => next > bound,
            Bound::Unbounded => true,
        };
        let below = match &self.upper {
            Bound::Included(bound) => next <= bound,
            Bound::Excluded(bound) => next < bound,
            Bound::Unbounded => true,
        };
        begins && above && below
    }
}

fn listed<'f>(fields: impl IntoIterator<Item = &'f FieldPath>) -> String {
    let names: Vec<String> = fields
        .into_iter()
        .map(|field| format!("`{field}`"))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::encode_key;
    use crate::testing::any_optional_value;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// A constraint by an integer.
    type Bare<'a> = (Relation, &'a str, i64);

    fn field(name: &str) -> FieldPath {
        FieldPath::parse(name).unwrap()
    }

    fn fields() -> Vec<FieldPath> {
        ["a", "b", "c", "_creationTime"].map(field).to_vec()
    }

    fn range(constraints: &[Bare<'_>]) -> IndexRange {
        let constraint = |(relation, name, value): &Bare<'_>| Constraint {
            relation: *relation,
            field: field(name),
            value: Some(Value::Int64(*value)),
        };
        IndexRange {
            index: IndexName {
                table: "t".to_owned(),
                index: "i".to_owned(),
            },
            constraints: constraints.iter().map(constraint).collect(),
        }
    }

    #[test]
    fn prefixes_resolve() {
        use Relation::{Eq, Gt, Gte, Lt, Lte};
        let int = |number| Some(Value::Int64(number));
        let resolve = |constraints: &[Bare<'_>]| range(constraints).resolve(&fields()).unwrap();
        let all = ResolvedRange {
            prefix: vec![],
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
        };
        assert_eq!(resolve(&[]), all);
        let two = resolve(&[(Eq, "b", 2), (Eq, "a", 1)]);
        assert_eq!(
            two,
            ResolvedRange {
                prefix: vec![int(1), int(2)],
                ..all.clone()
            }
        );
        let bounds = resolve(&[(Gt, "b", 2), (Eq, "a", 1), (Lte, "b", 5)]);
        let expected = ResolvedRange {
            prefix: vec![int(1)],
            lower: Bound::Excluded(int(2)),
            upper: Bound::Included(int(5)),
        };
        assert_eq!(bounds, expected);
        let lower = resolve(&[(Gte, "a", 1)]);
        assert_eq!(
            lower,
            ResolvedRange {
                lower: Bound::Included(int(1)),
                ..all.clone()
            }
        );
        let time = resolve(&[
            (Eq, "a", 1),
            (Eq, "b", 1),
            (Eq, "c", 1),
            (Lt, "_creationTime", 1),
        ]);
        assert_eq!(
            (time.prefix.len(), time.upper),
            (3, Bound::Excluded(int(1)))
        );
    }

    #[test]
    fn everything_else_is_refused() {
        use Relation::{Eq, Gt, Gte, Lt, Lte};
        let cases: [(&[Bare<'_>], &str); 10] = [
            (&[(Eq, "x", 1)], "FieldNotInIndex"),
            (&[(Eq, "b", 1)], "InvalidIndexRange"),
            (&[(Gt, "b", 1)], "InvalidIndexRange"),
            (&[(Eq, "a", 1), (Eq, "c", 1)], "InvalidIndexRange"),
            (&[(Eq, "a", 1), (Gt, "c", 1)], "InvalidIndexRange"),
            (&[(Gt, "a", 1), (Eq, "b", 1)], "InvalidIndexRange"),
            (&[(Gt, "a", 1), (Lt, "b", 1)], "BoundsOnMultipleFields"),
            (&[(Gt, "a", 1), (Gte, "a", 1)], "AlreadyDefinedBound"),
            (&[(Lt, "a", 1), (Lte, "a", 1)], "AlreadyDefinedBound"),
            (&[(Eq, "a", 1), (Eq, "a", 1)], "AlreadyDefinedBound"),
        ];
        for (constraints, code) in cases {
            let error = range(constraints).resolve(&fields()).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains("t.i"), "{error}");
        }
        for constraints in [[(Eq, "a", 1), (Gt, "a", 1)], [(Gt, "a", 1), (Eq, "a", 1)]] {
            let error = range(&constraints).resolve(&fields()).unwrap_err();
            assert_eq!(error.code(), "AlreadyDefinedBound");
        }
    }

    fn any_constraint() -> impl Strategy<Value = Constraint> {
        let relations = [
            Relation::Eq,
            Relation::Gt,
            Relation::Gte,
            Relation::Lt,
            Relation::Lte,
        ];
        let value = prop_oneof![
            (0i64..3).prop_map(|n| Some(Value::Int64(n))),
            any_optional_value()
        ];
        (select(relations.to_vec()), select(fields()), value).prop_map(
            |(relation, field, value)| Constraint {
                relation,
                field,
                value,
            },
        )
    }

    fn holds(constraint: &Constraint, row: &[Option<Value>]) -> bool {
        let position = fields()
            .iter()
            .position(|known| *known == constraint.field)
            .unwrap();
        let order = row[position].cmp(&constraint.value);
        match constraint.relation {
            Relation::Eq => order.is_eq(),
            Relation::Gt => order.is_gt(),
            Relation::Gte => order.is_ge(),
            Relation::Lt => order.is_lt(),
            Relation::Lte => order.is_le(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_resolved_range_means_its_constraints(
            constraints in vec(any_constraint(), 0..4),
            numbers in vec((0i64..3).prop_map(|n| Some(Value::Int64(n))), 4),
        ) {
            let range = IndexRange { constraints, ..range(&[]) };
            if let Ok(resolved) = range.resolve(&fields()) {
                let expected = range.constraints.iter().all(|constraint| holds(constraint, &numbers));
                prop_assert_eq!(resolved.contains(&numbers), expected);
                let keys = resolved.key_range();
                let key = encode_key(numbers.iter().map(Option::as_ref));
                let found = keys.lower <= key && keys.upper.is_none_or(|upper| key < upper);
                prop_assert!(found || !expected);
                prop_assert!(!keys.exact || found == expected);
            }
        }
    }
}
