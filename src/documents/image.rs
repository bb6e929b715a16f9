//! The image of a row: its primary key and its key in every index.

use crate::capture::RowImage;
use crate::pg::trigger::Row;

/// The image of a row of a document table, `None` for a row of any other table.
pub(crate) fn row_image(_row: &Row<'_>) -> Option<RowImage> {
    None
}
