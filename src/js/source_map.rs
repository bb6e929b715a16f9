//! From positions in a bundle to positions in the developer's files.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use pg_live_guard::Shifts;

use super::specifier::MODULE_SCHEME;

/// A position as the developer sees it; line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MappedPosition {
    pub(super) path: String,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// The source maps of the scripts that are loaded.
pub(super) trait SourceMaps {
    /// Where `line` and `column` (from 0) of `script` come from. A script without a map, or a position
    /// that the map does not know, is shown as it is, without the scheme of module names.
    fn map(&self, script: &str, line: u32, column: u32) -> MappedPosition;
}

/// A source map that is parsed when a position is first looked up.
pub(super) struct LazyMap {
    text: Text,
    /// Where columns have moved by what was added to the script.
    shifts: Shifts,
    parsed: OnceCell<Option<sourcemap::SourceMap>>,
}

/// Where the text of a map is.
#[derive(Clone)]
enum Text {
    Here(Option<Arc<str>>),
    Elsewhere(Rc<dyn Fn() -> Option<String>>),
}

impl LazyMap {
    /// A map from its JSON text, if there is one.
    pub(super) fn new(text: Option<Arc<str>>) -> Self {
        Self {
            text: Text::Here(text),
            shifts: Shifts::default(),
            parsed: OnceCell::new(),
        }
    }

    /// A map whose text is read when it is needed.
    pub(super) fn elsewhere(read: Box<dyn Fn() -> Option<String>>) -> Self {
        Self {
            text: Text::Elsewhere(read.into()),
            shifts: Shifts::default(),
            parsed: OnceCell::new(),
        }
    }

    fn parse(&self) -> Option<sourcemap::SourceMap> {
        let parse = |text: &str| sourcemap::SourceMap::from_slice(text.as_bytes()).ok();
        match &self.text {
            Text::Here(text) => parse(text.as_deref()?),
            Text::Elsewhere(read) => parse(&read()?),
        }
    }

    /// A map of the same text for the script with more text added to it.
    pub(super) fn shifted(&self, shifts: Shifts) -> Self {
        Self {
            text: self.text.clone(),
            shifts,
            parsed: OnceCell::new(),
        }
    }

    /// The column of the script as it was before text was added to it.
    pub(super) fn original_column(&self, line: u32, column: u32) -> u32 {
        self.shifts.original_column(line, column)
    }

    /// The position in the developer's file of `line` and `column` of the script before text was added (from 0);
    /// `None` if unknown or if the map is broken.
    pub(super) fn lookup(&self, line: u32, column: u32) -> Option<MappedPosition> {
        let map = self.parsed.get_or_init(|| self.parse()).as_ref()?;
        let token = map.lookup_token(line, column)?;
        if token.get_dst_line() != line {
            return None;
        }
        Some(MappedPosition {
            path: token.get_source()?.to_owned(),
            line: token.get_src_line() + 1,
            column: token.get_src_col() + 1,
        })
    }
}

/// The position as the bundle has it.
pub(super) fn unmapped(script: &str, line: u32, column: u32) -> MappedPosition {
    let path = script
        .strip_prefix(MODULE_SCHEME)
        .unwrap_or(script)
        .to_owned();
    MappedPosition {
        path,
        line: line + 1,
        column: column + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Generated line 2 (from 0), columns 0 and 4, come from line 4, column 2 and line 5, column 0.
    const MAP: &str =
        r#"{"version":3,"sources":["../convex/a.ts"],"names":[],"mappings":";;AAIE,IACF"}"#;

    fn position(line: u32, column: u32) -> MappedPosition {
        MappedPosition {
            path: "../convex/a.ts".into(),
            line,
            column,
        }
    }

    #[test]
    fn looks_up_the_nearest_token_of_the_line() {
        let map = LazyMap::new(Some(MAP.into()));
        assert_eq!(map.lookup(2, 0), Some(position(5, 3)));
        assert_eq!(map.lookup(2, 3), Some(position(5, 3)));
        assert_eq!(map.lookup(2, 9), Some(position(6, 1)));
    }

    #[test]
    fn unknown_lines_and_broken_maps_give_nothing() {
        assert_eq!(LazyMap::new(Some(MAP.into())).lookup(0, 0), None);
        assert_eq!(LazyMap::new(Some(MAP.into())).lookup(7, 0), None);
        assert_eq!(LazyMap::new(Some("{".into())).lookup(2, 0), None);
        assert_eq!(LazyMap::new(None).lookup(2, 0), None);
    }

    #[test]
    fn unmapped_positions_count_from_one() {
        let expected = MappedPosition {
            path: "a.js".into(),
            line: 1,
            column: 1,
        };
        assert_eq!(unmapped("convex:/user/a.js", 0, 0), expected);
    }
}
