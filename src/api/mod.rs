//! The SQL surface, one file per noun.

mod status;
mod subscription;
