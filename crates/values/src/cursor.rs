//! Cursors: places in the results of a query, as opaque text that clients keep and give back.
//!
//! The bytes are a version, the [`Fingerprint`] of the query, a tag, and the key of the row that
//! the cursor stands behind; the text is their base64 in the URL alphabet, without padding. Nothing
//! in it depends on a process, a snapshot or a deployment: a cursor holds as long as its query reads
//! an index with the same fields.
//!
//! Whoever has a cursor can read the key in it, and make up others. A made-up one only says where
//! to begin or end within what the query reads anyway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
use crate::key::MAX_KEY_BYTES;

/// The version of the form; another form gets another number.
const VERSION: u8 = 1;
const END: u8 = 0;
const AFTER: u8 = 1;
const HEAD_BYTES: usize = 1 + FINGERPRINT_BYTES + 1;
/// The text of no cursor is longer.
const MAX_TEXT_BYTES: usize = (HEAD_BYTES + MAX_KEY_BYTES).div_ceil(3) * 4;
/// Between the entries of a journal; not in the alphabet of cursors.
const SEPARATOR: char = '.';

/// A place in the results of a query, in the order in which it gives them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// Behind the row with this key.
    After(Vec<u8>),
    /// Behind all rows, those to come too.
    End,
}

/// A place in the results of a certain query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The query.
    pub query: Fingerprint,
    /// The place.
    pub position: Position,
}

/// Why a text cannot be used as a cursor. Clients know the first word of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not the text of a cursor.
    #[error(
        "InvalidCursor: the cursor cannot be decoded. Pass the `continueCursor` of an earlier page \
         unchanged, or null for the first page."
    )]
    Undecodable,
    /// A cursor of another query.
    #[error(
        "InvalidCursor: the cursor belongs to another query. The index, its range, the order and \
         the filters of a paginated query must be the same for all of its pages; start over with \
         null."
    )]
    OtherQuery,
}

impl Cursor {
    /// The text.
    pub fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.query.0);
        match &self.position {
            Position::End => bytes.push(END),
            Position::After(key) => {
                bytes.push(AFTER);
                bytes.extend_from_slice(key);
            }
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the text of a cursor.
    ///
    /// # Errors
    /// If [`Cursor::encode`] does not write this text.
    pub fn parse(text: &str) -> Result<Cursor, CursorError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(CursorError::Undecodable);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CursorError::Undecodable)?;
        let (version, rest) = bytes.split_first().ok_or(CursorError::Undecodable)?;
        let (query, rest) = rest
            .split_first_chunk::<FINGERPRINT_BYTES>()
            .ok_or(CursorError::Undecodable)?;
        let position = match (*version, rest) {
            (VERSION, [END]) => Position::End,
            (VERSION, [AFTER, key @ ..]) if key.len() <= MAX_KEY_BYTES => {
                Position::After(key.to_vec())
            }
            _ => return Err(CursorError::Undecodable),
        };
        Ok(Cursor {
            query: Fingerprint(*query),
            position,
        })
    }

    /// The place that a text means in the results of `query`.
    ///
    /// # Errors
    /// If it is not the text of a cursor, or of one of another query.
    pub fn position_in(text: &str, query: Fingerprint) -> Result<Position, CursorError> {
        let cursor = Cursor::parse(text)?;
        if cursor.query != query {
            return Err(CursorError::OtherQuery);
        }
        Ok(cursor.position)
    }
}

/// The entry of a journal for the page that was read as number `page` (from 0) in a function.
pub fn journal_entry(journal: &str, page: usize) -> Option<&str> {
    journal.split(SEPARATOR).nth(page)
}

/// The journal of a function that read pages with these ends, in this order; `None` if it read
/// none.
pub fn journal_of(ends: &[String]) -> Option<String> {
    (!ends.is_empty()).then(|| ends.join(&SEPARATOR.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn any_position() -> impl Strategy<Value = Position> {
        prop_oneof![
            Just(Position::End),
            vec(any::<u8>(), 0..=MAX_KEY_BYTES).prop_map(Position::After),
        ]
    }

    fn any_cursor() -> impl Strategy<Value = Cursor> {
        (any::<[u8; FINGERPRINT_BYTES]>(), any_position()).prop_map(|(query, position)| Cursor {
            query: Fingerprint(query),
            position,
        })
    }

    #[test]
    fn the_form_is_frozen() {
        let query = Fingerprint(*b"0123456789abcdef");
        let at = |position| Cursor { query, position }.encode();
        assert_eq!(at(Position::End), "ATAxMjM0NTY3ODlhYmNkZWYA");
        let after = Position::After(vec![0x38, b'a', 0, 0]);
        assert_eq!(at(after), "ATAxMjM0NTY3ODlhYmNkZWYBOGEAAA");
    }

    #[test]
    fn other_texts_are_refused() {
        let bytes = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let head = |version: u8| [&[version], [7; FINGERPRINT_BYTES].as_slice()].concat();
        for text in [
            String::new(),
            "null".to_owned(),
            "ATAxMjM0NTY3ODlhYmNkZWYA=".to_owned(),
            "ATAxMjM0NTY3ODlhYmNkZWYAA".to_owned(),
            bytes(&head(1)),
            bytes(&[head(1), vec![2]].concat()),
            bytes(&[head(1), vec![END, 0]].concat()),
            bytes(&[head(2), vec![END]].concat()),
            bytes(&[head(1), vec![AFTER; MAX_KEY_BYTES + 2]].concat()),
            "A".repeat(1 << 20),
        ] {
            assert_eq!(
                Cursor::parse(&text),
                Err(CursorError::Undecodable),
                "{text:.40}"
            );
        }
    }

    #[test]
    fn journals() {
        assert_eq!(journal_of(&[]), None);
        let journal = journal_of(&["a".to_owned(), "b".to_owned()]).unwrap();
        let entry = |page| journal_entry(&journal, page);
        assert_eq!((entry(0), entry(1), entry(2)), (Some("a"), Some("b"), None));
    }

    proptest! {
        #[test]
        fn cursors_round_trip(cursor in any_cursor(), other in any::<[u8; FINGERPRINT_BYTES]>()) {
            let text = cursor.encode();
            prop_assert_eq!(Cursor::parse(&text), Ok(cursor.clone()));
            let here = Cursor::position_in(&text, cursor.query);
            prop_assert_eq!(here, Ok(cursor.position.clone()));
            let elsewhere = Cursor::position_in(&text, Fingerprint(other));
            prop_assert_eq!(elsewhere.is_ok(), cursor.query == Fingerprint(other));
            let journal = journal_of(std::slice::from_ref(&text)).unwrap();
            prop_assert_eq!(journal_entry(&journal, 0), Some(&*text));
        }

        #[test]
        fn any_text_is_read_or_refused(text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{0,80}"]) {
            if let Ok(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..100)) {
            let text = URL_SAFE_NO_PAD.encode([&[VERSION], bytes.as_slice()].concat());
            if let Ok(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }
    }
}
