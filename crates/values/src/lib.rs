//! Values, validators, ids, JSON encodings and the order-preserving key encoding.
#![forbid(unsafe_code)]
