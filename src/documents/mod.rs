//! Documents: tables, rows and values.

mod image;

pub(crate) use image::row_image;
