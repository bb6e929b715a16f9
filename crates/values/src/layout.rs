//! Which part of a row holds which field: a field is in its column if it has one and the column's
//! type holds the value exactly; else it is under its name in the row's rest (`_extra`). To read a row
//! only the map of columns is needed, so a column may be of another type than the schema in force
//! would give it.

use std::collections::BTreeMap;

use crate::column::ColumnType;
use crate::value::Value;

/// The fields of a document as a row holds them.
#[derive(Debug, PartialEq)]
pub struct Laid<'v> {
    /// What each column holds, in their order; `None` is SQL's NULL.
    pub columns: Vec<Option<&'v Value>>,
    /// What is left, by name.
    pub rest: BTreeMap<&'v str, &'v Value>,
}

/// Lays out fields for a row with these columns.
pub fn lay_out<'v, 'c>(
    fields: impl IntoIterator<Item = (&'v String, &'v Value)>,
    columns: impl IntoIterator<Item = (&'c str, ColumnType)>,
) -> Laid<'v> {
    let mut rest: BTreeMap<&str, &Value> = fields
        .into_iter()
        .map(|(field, value)| (field.as_str(), value))
        .collect();
    let columns = columns
        .into_iter()
        .map(|(field, of)| match rest.get(field) {
            Some(value) if of.holds(value) => rest.remove(field),
            Some(_) | None => None,
        })
        .collect();
    Laid { columns, rest }
}

/// The fields of a row: its rest with the columns that are not NULL put over it.
pub fn gather<'c>(
    rest: BTreeMap<String, Value>,
    columns: impl IntoIterator<Item = (&'c str, Option<Value>)>,
) -> BTreeMap<String, Value> {
    let mut fields = rest;
    for (field, value) in columns {
        if let Some(value) = value {
            fields.insert(field.to_owned(), value);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::document_columns;
    use crate::testing::{Tables, any_storable_value, matching, object};
    use crate::validator::{FieldValidator, Validator};
    use proptest::prelude::*;

    /// What a column gives back. Only jsonb goes through another form.
    fn stored(value: &Value, of: ColumnType) -> Value {
        assert!(of.holds(value), "{of:?} {value}");
        match of {
            ColumnType::Jsonb => Value::parse_encoded(&value.to_encoded()).unwrap(),
            ColumnType::Text
            | ColumnType::Float8
            | ColumnType::Int8
            | ColumnType::Bool
            | ColumnType::Bytea => value.clone(),
        }
    }

    fn round_trip(document: &Value, columns: &BTreeMap<String, ColumnType>) -> Value {
        let Value::Object(fields) = document else {
            panic!("not a document");
        };
        let columns = || columns.iter().map(|(field, of)| (field.as_str(), *of));
        let laid = lay_out(fields, columns());
        let rest = laid.rest.iter();
        let rest = Value::Object(rest.map(|(k, v)| ((*k).to_owned(), (*v).clone())).collect());
        let Value::Object(rest) = stored(&rest, ColumnType::Jsonb) else {
            panic!("the rest is not an object");
        };
        let held = columns().zip(&laid.columns);
        let held = held.map(|((field, of), value)| (field, value.map(|value| stored(value, of))));
        Value::Object(gather(rest, held))
    }

    fn columns_of(validator: &Validator) -> BTreeMap<String, ColumnType> {
        let field = FieldValidator {
            validator: validator.clone(),
            optional: true,
        };
        document_columns(&Validator::Object([("f".to_owned(), field)].into()))
    }

    #[test]
    fn fields_go_where_they_fit() {
        let columns = [("a", ColumnType::Text), ("b", ColumnType::Float8)];
        let (text, number, null) = (Value::from("x"), Value::Float64(1.0), Value::Null);
        let document = object(&[
            ("a", text.clone()),
            ("b", null.clone()),
            ("c", number.clone()),
        ]);
        let Value::Object(fields) = &document else {
            panic!("not a document");
        };
        let laid = lay_out(fields, columns);
        assert_eq!(laid.columns, [Some(&text), None]);
        assert_eq!(laid.rest, [("b", &null), ("c", &number)].into());
        // A field in both: the column counts.
        let both = gather(
            [("a".to_owned(), null)].into(),
            [("a", Some(text.clone())), ("b", None)],
        );
        assert_eq!(both, [("a".to_owned(), text)].into());
    }

    /// Values of each kind of validator and any other value come back from a row as they were, in
    /// the column that the validator gives and in one that it would not give.
    macro_rules! comes_back {
        ($($name:ident: $kind:literal;)+) => { proptest! {
            #![proptest_config(ProptestConfig::with_cases(10_000))]
            $(#[test]
            fn $name(
                (validator, value) in matching($kind),
                other in any_storable_value(),
                absent in prop::bool::weighted(0.05),
                older in prop::option::weighted(0.2, matching("union")),
            ) {
                prop_assert_eq!(validator.check(&value, &Tables), Ok(()));
                let columns = columns_of(older.as_ref().map_or(&validator, |(older, _)| older));
                for value in [value, other.clone()] {
                    let mut fields = vec![("g", other.clone())];
                    if !absent {
                        fields.push(("f", value));
                    }
                    let document = object(&fields);
                    prop_assert_eq!(round_trip(&document, &columns), document);
                }
            })+
        } };
    }

    comes_back! {
        null_comes_back: "null";
        float64_comes_back: "number";
        int64_comes_back: "bigint";
        boolean_comes_back: "boolean";
        string_comes_back: "string";
        bytes_come_back: "bytes";
        any_comes_back: "any";
        literal_comes_back: "literal";
        id_comes_back: "id";
        array_comes_back: "array";
        record_comes_back: "record";
        object_comes_back: "object";
        union_comes_back: "union";
    }
}
