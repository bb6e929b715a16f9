//! Reads a module of functions for what it could keep from one call to the next.
//!
//! A context can serve many calls of a module if no call can change what a later one sees. Objects that the module
//! made while it was imported can be frozen, but only those that can be found: what a closure holds in a variable
//! cannot be reached from outside. So this crate, by an analysis of the module's scopes,
//!
//! - refuses modules that assign a variable of theirs in a function, or use what no freezing covers;
//! - adds to the module's text, at the beginning of every scope whose variables closures use, a statement that
//!   hands these variables to the host as long as the module is being imported ([`HOOK`]). What the host finds by
//!   them it freezes, or refuses the module for it. During calls the statement does nothing.
//!
//! The host's half is `src/js/runtime/guard.js` of the extension.
#![forbid(unsafe_code)]

mod depth;
mod insertions;
mod scopes;

use insertions::Insertions;
pub use insertions::Shifts;
use oxc_allocator::Allocator;
use oxc_parser::Parser;
use oxc_semantic::SemanticBuilder;
use oxc_span::SourceType;

/// The variable that the added statements call: a function while modules are imported, `undefined` in calls.
pub const HOOK: &str = "$pg_live_guard";

/// A module's text with the added statements.
#[derive(Debug)]
pub struct Guarded {
    /// The text. It has the same lines.
    pub source: String,
    /// Where columns have moved.
    pub shifts: Shifts,
}

/// Why a module may keep something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A variable of the module is assigned outside of the module's own statements.
    #[error("the variable \"{0}\" of the module is assigned in a function")]
    Assigned(String),
    /// It uses something whose effect is not followed.
    #[error("it uses {0}")]
    Uses(&'static str),
    /// The text cannot be read.
    #[error("it cannot be read: {0}")]
    Syntax(String),
}

/// Reads the text of an ES module.
///
/// # Errors
/// [`Refusal`] if the text alone shows that the module may keep state.
pub fn guard(source: &str) -> Result<Guarded, Refusal> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, source, SourceType::mjs()).parse();
    if parsed.panicked || !parsed.diagnostics.is_empty() {
        let what = parsed.diagnostics.iter().next();
        return Err(Refusal::Syntax(
            what.map_or_else(|| "syntax error".to_owned(), ToString::to_string),
        ));
    }
    let program = allocator.alloc(parsed.program);
    if depth::is_too_deep(program) {
        return Err(Refusal::Uses(
            "statements or expressions of too many levels",
        ));
    }
    let semantic = SemanticBuilder::new().build(program).semantic;
    let places = scopes::read(program, semantic.scoping())?;
    let mut insertions = Insertions::default();
    for place in places {
        place.write(&mut insertions);
    }
    Ok(insertions.apply(source))
}

#[cfg(test)]
mod tests;
