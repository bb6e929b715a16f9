//! From the errors of a body to errors of SQL.

use crate::error::{Error, Script, SqlState};
use crate::functions::run;
use crate::js::{Failure, ScriptError};

/// The SQLSTATE of what a body throws without naming one.
const THROWN: SqlState = *b"LV011";
/// The SQLSTATE of a body that does not compile.
const SYNTAX: SqlState = *b"42601";

/// What a body of `label` threw.
pub(super) fn thrown(label: &str, error: ScriptError) -> Error {
    let context = context(label, &error);
    Error::Script(Box::new(Script {
        sqlstate: error.sqlstate.as_deref().and_then(chosen).unwrap_or(THROWN),
        message: error.message,
        detail: error.detail,
        hint: error.hint,
        context: Some(context),
        position: None,
    }))
}

/// Why a body does not compile; `source` is its text.
pub(super) fn syntax(label: &str, source: &str, error: ScriptError) -> Error {
    let position = error.frames.first().and_then(|(_, place)| {
        let before: usize = source
            .split_inclusive('\n')
            .take(place.line - 1)
            .map(|line| line.chars().count())
            .sum();
        i32::try_from(before + place.column).ok()
    });
    Error::Script(Box::new(Script {
        sqlstate: SYNTAX,
        context: Some(context(label, &error)),
        message: error.message,
        detail: None,
        hint: None,
        position: position.map(|position| (source.to_owned(), position)),
    }))
}

/// Why a call was stopped.
pub(super) fn stopped(label: &str, failure: Failure) -> Error {
    match run::failure(failure) {
        Error::Postgres(mut error) => {
            error.add_context(&format!("JavaScript function {label}"));
            Error::Postgres(error)
        }
        error => error,
    }
}

/// What went wrong with the value that a body returned.
pub(super) fn in_result(label: &str, error: Error) -> Error {
    match error {
        Error::Postgres(mut error) => {
            error.add_context(&format!("JavaScript function {label}, in what it returns"));
            Error::Postgres(error)
        }
        error => error,
    }
}

/// An SQLSTATE that an error may have: not one of success, warnings or "no data".
fn chosen(text: &str) -> Option<SqlState> {
    let state: SqlState = text.as_bytes().try_into().ok()?;
    let valid = state
        .iter()
        .all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    let is_error = !matches!(&state[..2], b"00" | b"01" | b"02");
    (valid && is_error).then_some(state)
}

/// The function, and the places in its body from the innermost on.
fn context(label: &str, error: &ScriptError) -> String {
    let mut text = format!("JavaScript function {label}");
    for (index, (name, place)) in error.frames.iter().enumerate() {
        let at = format!("line {}, column {}", place.line, place.column);
        match (index, name) {
            (0, None) => text.push_str(&format!(", {at}")),
            (0, Some(name)) => text.push_str(&format!(", {at}, in {name}")),
            (_, None) => text.push_str(&format!("\n    called at {at}")),
            (_, Some(name)) => text.push_str(&format!("\n    called at {at}, in {name}")),
        }
    }
    text
}
