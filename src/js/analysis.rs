//! What the analysis of a deployment's modules finds.

use serde::Deserialize;

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

/// One exported function, as the runtime's `analyze` reports it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
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
}

impl AnalyzedFunction {
    /// Parses the report on one module.
    pub(super) fn parse_all(json: &str) -> Result<Vec<Self>, serde_json::Error> {
        serde_json::from_str(json)
    }
}
