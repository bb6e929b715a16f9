//! What the analysis of a deployment's modules finds.

use serde::Deserialize;

use super::source_map::{MappedPosition, SourceMaps};

/// One module and the functions it exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnalyzedModule {
    /// Path of the module, with `.js`.
    pub path: String,
    /// Its functions, in the order of the exports' names.
    pub functions: Vec<AnalyzedFunction>,
    /// Whether it asks for one context for many calls: its export `experimental_reuseContext` is `true`.
    pub asks_for_reuse: bool,
}

/// One exported function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnalyzedFunction {
    /// Name of the export.
    pub name: String,
    /// `Query`, `Mutation` or `Action`.
    pub udf_type: String,
    /// `public`, `internal`, or none if the function says neither.
    pub visibility: Option<String>,
    /// Validator of the arguments, a JSON text.
    pub args: Option<String>,
    /// Validator of the result, a JSON text (`null` when the function declares none).
    pub returns: Option<String>,
    /// Where the handler is written, if known.
    pub position: Option<Position>,
}

/// A place in a source file as the developer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Path as the source map names it.
    pub path: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

/// One function as the runtime's `analyze` reports it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawFunction {
    name: String,
    udf_type: String,
    visibility: Option<String>,
    args: Option<String>,
    returns: Option<String>,
}

impl RawFunction {
    /// Parses the report on one module.
    pub(super) fn parse_all(json: &str) -> Result<Vec<Self>, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Adds the handler's position: script and zero-based line and column of the bundle.
    pub(super) fn finish(
        self,
        handler: Option<(String, u32, u32)>,
        maps: &dyn SourceMaps,
    ) -> AnalyzedFunction {
        let position = handler.map(|(script, line, column)| {
            let MappedPosition { path, line, column } = maps.map(&script, line, column);
            Position { path, line, column }
        });
        AnalyzedFunction {
            name: self.name,
            udf_type: self.udf_type,
            visibility: self.visibility,
            args: self.args,
            returns: self.returns,
            position,
        }
    }
}
