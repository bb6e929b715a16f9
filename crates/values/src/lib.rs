//! Values, validators, ids, JSON encodings and the order-preserving key encoding.
//!
//! Everything a value can be, is checked against, or is turned into exists once, here: the
//! extension, the relay and the tests share it. The crate is pure: no I/O, no clock, no randomness.
#![forbid(unsafe_code)]

pub mod id;
pub mod json;
pub mod key;
pub mod limits;
pub mod validator;
pub mod value;

#[cfg(test)]
mod testing;

pub use id::{DocumentId, IdError};
pub use json::JsonError;
pub use key::KeyRange;
pub use limits::{FieldNameError, LimitError};
pub use validator::{TableLookup, ValidationError, Validator};
pub use value::{Value, compare};
