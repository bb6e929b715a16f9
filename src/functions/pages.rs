//! The pages that a call reads, and its journal: the ends that they had when the query was run
//! before, so that a page that is live keeps its end while rows come and go.

use pg_live_values::cursor::{journal_entry, journal_of};

/// The pages of one call, those of the functions that it calls too.
#[derive(Clone, Default)]
pub(crate) struct Pages {
    journal: Option<String>,
    /// The end of each page that was read, as the text of its cursor.
    ends: Vec<String>,
    /// Whether the running function has read a page: it may read one.
    pub(crate) one_read: bool,
}

impl Pages {
    /// No page has been read yet; `journal` is that of an earlier run of the same call.
    pub(crate) fn new(journal: Option<String>) -> Pages {
        Pages {
            journal,
            ends: Vec::new(),
            one_read: false,
        }
    }

    /// Where the next page ended before.
    pub(crate) fn known_end(&self) -> Option<&str> {
        journal_entry(self.journal.as_deref()?, self.ends.len())
    }

    /// A page was read to this cursor.
    pub(crate) fn ended(&mut self, cursor: String) {
        self.ends.push(cursor);
    }

    /// The journal for the next run; `None` if no page was read.
    pub(crate) fn into_journal(self) -> Option<String> {
        journal_of(&self.ends)
    }
}
