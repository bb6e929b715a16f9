//! Which fields of a document get a column of their own, and of which SQL type.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::validator::{FieldValidator, Validator};
use crate::value::Value;

/// The most fields of a table that get columns; the others stay in `_extra`.
pub const MAX_COLUMNS: usize = 250;
/// PostgreSQL's limit on the length of names, in bytes.
const MAX_NAME_BYTES: usize = 63;
/// The columns that every PostgreSQL table has.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
/// The one NaN that PostgreSQL reads back from its text form.
const POSTGRES_NAN: u64 = 0x7ff8_0000_0000_0000;

/// The type of a column for a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ColumnType {
    /// Strings, in byte order.
    Text,
    /// Floats.
    Float8,
    /// Integers.
    Int8,
    /// Booleans.
    Bool,
    /// Bytes.
    Bytea,
    /// Everything else, in the exact JSON encoding.
    Jsonb,
}

impl ColumnType {
    /// The type for what a validator accepts, `null` and absence aside; `None` if nothing is left.
    /// A union has the type that its members share, or else `jsonb`.
    pub fn for_validator(validator: &Validator) -> Option<ColumnType> {
        match validator {
            Validator::Null | Validator::Literal(Value::Null) => None,
            Validator::Float64 | Validator::Literal(Value::Float64(_)) => Some(ColumnType::Float8),
            Validator::Int64 | Validator::Literal(Value::Int64(_)) => Some(ColumnType::Int8),
            Validator::Boolean | Validator::Literal(Value::Boolean(_)) => Some(ColumnType::Bool),
            Validator::String | Validator::Id(_) | Validator::Literal(Value::String(_)) => {
                Some(ColumnType::Text)
            }
            Validator::Bytes | Validator::Literal(Value::Bytes(_)) => Some(ColumnType::Bytea),
            Validator::Any
            | Validator::Literal(Value::Array(_) | Value::Object(_))
            | Validator::Array(_)
            | Validator::Record { .. }
            | Validator::Object(_) => Some(ColumnType::Jsonb),
            Validator::Union(members) => {
                shared_type(members.iter().filter_map(ColumnType::for_validator))
            }
        }
    }

    /// Whether a column of the type gives the value back exactly. SQL's NULL stands for absence, so
    /// only `jsonb` holds `null`. No type holds a NUL character within a string.
    pub fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (ColumnType::Text, Value::String(text)) => !text.contains('\0'),
            (ColumnType::Float8, Value::Float64(number)) => {
                !number.is_nan() || number.to_bits() == POSTGRES_NAN
            }
            (ColumnType::Int8, Value::Int64(_))
            | (ColumnType::Bool, Value::Boolean(_))
            | (ColumnType::Bytea, Value::Bytes(_)) => true,
            (ColumnType::Jsonb, Value::String(text)) => !text.contains('\0'),
            (ColumnType::Jsonb, Value::Array(items)) => items.iter().all(|item| self.holds(item)),
            (ColumnType::Jsonb, Value::Object(fields)) => {
                fields.values().all(|field| self.holds(field))
            }
            (ColumnType::Jsonb, _) => true,
            (
                ColumnType::Text
                | ColumnType::Float8
                | ColumnType::Int8
                | ColumnType::Bool
                | ColumnType::Bytea,
                _,
            ) => false,
        }
    }

    /// The type as `CREATE TABLE` writes it.
    pub fn sql_name(self) -> &'static str {
        match self {
            ColumnType::Text => "text COLLATE \"C\"",
            ColumnType::Float8 => "float8",
            ColumnType::Int8 => "int8",
            ColumnType::Bool => "boolean",
            ColumnType::Bytea => "bytea",
            ColumnType::Jsonb => "jsonb",
        }
    }
}

/// Whether a field's name can be the name of its column: `[A-Za-z][A-Za-z0-9_]*`, at most 63 bytes,
/// no system column.
pub fn column_name_ok(field: &str) -> bool {
    field.len() <= MAX_NAME_BYTES
        && field.starts_with(|c: char| c.is_ascii_alphabetic())
        && field
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !SYSTEM_COLUMNS.contains(&field)
}

/// The name of the relation for a table: its own, or if PostgreSQL would cut it, its beginning and a
/// hash, so that tables with the same beginning stay apart.
pub fn relation_name(table: &str) -> String {
    const HASH_BYTES: usize = 4;
    if table.len() <= MAX_NAME_BYTES {
        return table.to_owned();
    }
    let hash = Sha256::digest(table);
    let suffix = hash[..HASH_BYTES]
        .iter()
        .fold("_".to_owned(), |text, byte| text + &format!("{byte:02x}"));
    let kept = table.floor_char_boundary(MAX_NAME_BYTES - suffix.len());
    table[..kept].to_owned() + &suffix
}

/// The columns of a table whose documents match `document_type`, by field: the first
/// [`MAX_COLUMNS`] in the order of names. Of a union of objects, a field has one column for what
/// all members say about it. Documents without a type have no columns.
pub fn document_columns(document_type: &Validator) -> BTreeMap<String, ColumnType> {
    let mut fields = BTreeMap::<&str, Vec<&FieldValidator>>::new();
    collect_fields(document_type, &mut fields);
    fields
        .into_iter()
        .filter(|(name, _)| column_name_ok(name))
        .filter_map(|(name, validators)| {
            let types = validators
                .iter()
                .filter_map(|f| ColumnType::for_validator(&f.validator));
            Some((name.to_owned(), shared_type(types)?))
        })
        .take(MAX_COLUMNS)
        .collect()
}

/// The names of all fields that documents of the type can have; `None` if any will do.
pub fn document_fields(document_type: &Validator) -> Option<BTreeSet<&str>> {
    match document_type {
        Validator::Any => None,
        Validator::Union(members) => {
            let mut fields = BTreeSet::new();
            for member in members {
                fields.append(&mut document_fields(member)?);
            }
            Some(fields)
        }
        Validator::Object(object) => Some(object.keys().map(String::as_str).collect()),
        Validator::Record { .. } => None,
        Validator::Null
        | Validator::Float64
        | Validator::Int64
        | Validator::Boolean
        | Validator::String
        | Validator::Bytes
        | Validator::Literal(_)
        | Validator::Id(_)
        | Validator::Array(_) => Some(BTreeSet::new()),
    }
}

fn collect_fields<'v>(
    document_type: &'v Validator,
    fields: &mut BTreeMap<&'v str, Vec<&'v FieldValidator>>,
) {
    match document_type {
        Validator::Object(object) => {
            for (name, field) in object {
                fields.entry(name).or_default().push(field);
            }
        }
        Validator::Union(members) => {
            members
                .iter()
                .for_each(|member| collect_fields(member, fields));
        }
        Validator::Null
        | Validator::Float64
        | Validator::Int64
        | Validator::Boolean
        | Validator::String
        | Validator::Bytes
        | Validator::Any
        | Validator::Literal(_)
        | Validator::Id(_)
        | Validator::Array(_)
        | Validator::Record { .. } => {}
    }
}

/// The one type among `types`, `jsonb` if there are several, `None` if there is none.
fn shared_type(mut types: impl Iterator<Item = ColumnType>) -> Option<ColumnType> {
    let first = types.next()?;
    let same = types.all(|other| other == first);
    Some(if same { first } else { ColumnType::Jsonb })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::object;

    fn union(members: &[Validator]) -> Validator {
        Validator::Union(members.to_vec())
    }

    fn literal(text: &str) -> Validator {
        Validator::Literal(Value::from(text))
    }

    fn document(fields: &[(&str, Validator)]) -> Validator {
        let field = |validator: &Validator| FieldValidator {
            validator: validator.clone(),
            optional: true,
        };
        Validator::Object(
            fields
                .iter()
                .map(|(name, v)| ((*name).to_owned(), field(v)))
                .collect(),
        )
    }

    #[test]
    fn types_follow_the_validators() {
        let id = Validator::Id("users".to_owned());
        let list = Validator::Array(Box::new(Validator::String));
        let cases = [
            (Validator::String, Some(ColumnType::Text)),
            (id.clone(), Some(ColumnType::Text)),
            (literal("x"), Some(ColumnType::Text)),
            (Validator::Float64, Some(ColumnType::Float8)),
            (Validator::Int64, Some(ColumnType::Int8)),
            (Validator::Boolean, Some(ColumnType::Bool)),
            (Validator::Bytes, Some(ColumnType::Bytea)),
            (Validator::Any, Some(ColumnType::Jsonb)),
            (list, Some(ColumnType::Jsonb)),
            (document(&[]), Some(ColumnType::Jsonb)),
            (Validator::Null, None),
            (union(&[]), None),
            (union(&[Validator::Null, Validator::Null]), None),
            (
                union(&[Validator::Null, Validator::Int64]),
                Some(ColumnType::Int8),
            ),
            (
                union(&[literal("a"), union(&[id, Validator::Null])]),
                Some(ColumnType::Text),
            ),
            (
                union(&[Validator::String, Validator::Float64]),
                Some(ColumnType::Jsonb),
            ),
        ];
        for (validator, expected) in cases {
            assert_eq!(
                ColumnType::for_validator(&validator),
                expected,
                "{validator}"
            );
        }
    }

    #[test]
    fn columns_hold_what_they_give_back() {
        let nested = object(&[("a", Value::Array(vec![Value::from("x\0")]))]);
        let cases = [
            (ColumnType::Text, Value::from("x"), true),
            (ColumnType::Text, Value::from("x\0"), false),
            (ColumnType::Text, Value::Null, false),
            (ColumnType::Float8, Value::Float64(-0.0), true),
            (ColumnType::Float8, Value::Float64(f64::NAN), true),
            (ColumnType::Float8, Value::Float64(-f64::NAN), false),
            (ColumnType::Float8, Value::Int64(1), false),
            (ColumnType::Int8, Value::Float64(1.0), false),
            (ColumnType::Int8, Value::Int64(i64::MIN), true),
            (ColumnType::Bool, Value::Boolean(false), true),
            (ColumnType::Bytea, Value::Bytes(vec![0]), true),
            (ColumnType::Jsonb, Value::Null, true),
            (ColumnType::Jsonb, Value::Int64(1), true),
            (ColumnType::Jsonb, object(&[("a", Value::from("x"))]), true),
            (ColumnType::Jsonb, nested, false),
        ];
        for (column, value, expected) in cases {
            assert_eq!(column.holds(&value), expected, "{column:?} {value}");
        }
        assert_eq!(f64::NAN.to_bits(), POSTGRES_NAN);
    }

    #[test]
    fn names_of_columns() {
        for good in ["a", "createdAt", "a_1", "user", &"x".repeat(63)] {
            assert!(column_name_ok(good), "{good}");
        }
        for bad in [
            "",
            "_id",
            "_extra",
            "1a",
            "a b",
            "a.b",
            "ctid",
            "xmin",
            "é",
            &"x".repeat(64),
        ] {
            assert!(!column_name_ok(bad), "{bad}");
        }
    }

    #[test]
    fn long_names_of_tables_are_cut() {
        let long = "t".repeat(64);
        assert_eq!(relation_name(&long[1..]), long[1..]);
        assert_eq!(relation_name(&long), format!("{}_3a33722b", &long[10..]));
        let other = relation_name(&(long[1..].to_owned() + "u"));
        assert_ne!(other, relation_name(&long));
        assert_eq!(
            (other.len(), relation_name(&"é".repeat(40)).len()),
            (63, 63)
        );
    }

    #[test]
    fn unions_of_documents_share_columns() {
        let both = union(&[
            document(&[
                ("kind", literal("a")),
                ("n", Validator::Float64),
                ("z z", Validator::Any),
            ]),
            document(&[
                ("kind", literal("b")),
                ("n", Validator::String),
                ("m", Validator::Null),
            ]),
        ]);
        let columns = document_columns(&both);
        let expected = [("kind", ColumnType::Text), ("n", ColumnType::Jsonb)];
        assert_eq!(
            columns,
            expected.map(|(name, t)| (name.to_owned(), t)).into()
        );
        assert!(document_columns(&Validator::Any).is_empty());
        let fields = document_fields(&both).unwrap();
        assert_eq!(
            fields.into_iter().collect::<Vec<_>>(),
            ["kind", "m", "n", "z z"]
        );
        assert_eq!(document_fields(&Validator::Any), None);
        assert_eq!(document_fields(&union(&[both, Validator::Any])), None);
        let names: Vec<String> = (0..300).map(|n| format!("f{n:03}")).collect();
        let wide: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), Validator::String))
            .collect();
        assert_eq!(document_columns(&document(&wide)).len(), MAX_COLUMNS);
    }
}
