//! Values, validators, ids, JSON encodings and the order-preserving key encoding.
//!
//! Everything a value can be, is checked against, or is turned into exists once, here: the
//! extension, the relay and the tests share it. The crate is pure: no I/O, no clock, no randomness.
#![forbid(unsafe_code)]

pub mod auth_config;
pub mod column;
pub mod cursor;
pub mod field;
pub mod filter;
pub mod fingerprint;
pub mod id;
pub mod index_range;
pub mod json;
pub mod key;
pub mod layout;
pub mod limits;
pub mod page;
pub mod path;
pub mod query;
pub mod schema;
pub mod system_tables;
pub mod validation;
pub mod validator;
pub mod value;

#[cfg(test)]
mod testing;

pub use column::ColumnType;
pub use field::{FieldPath, FieldPathError};
pub use filter::Expr;
pub use id::{DocumentId, IdError};
pub use index_range::{IndexName, IndexRange, ResolvedRange};
pub use json::JsonError;
pub use key::KeyRange;
pub use limits::{FieldNameError, LimitError};
pub use path::FunctionPath;
pub use query::QuerySpec;
pub use schema::{Schema, SchemaError};
pub use validation::{TableLookup, ValidationError};
pub use validator::{FieldValidator, Validator};
pub use value::{Value, compare};
