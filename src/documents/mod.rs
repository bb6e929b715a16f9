//! Documents are rows of real tables: the catalog that maps them, rows and keys, reads and writes.

pub(crate) mod catalog;
pub(crate) mod create;
mod freshness;
mod image;
pub(crate) mod key;
pub(crate) mod read;
pub(crate) mod row;
pub(crate) mod write;

pub(crate) use image::{is_table, row_image};
