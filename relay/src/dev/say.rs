//! What the development server tells the person in front of it.

use std::io::Write as _;

use crate::cli::terminal::STRONG;

/// Prints one line: who speaks, and what. A closed output is not an error.
pub(super) fn say(who: &str, what: impl std::fmt::Display) {
    let text = what.to_string();
    // Colours on a terminal only.
    let mut out = anstream::stdout().lock();
    for (number, line) in text.lines().enumerate() {
        let who = if number == 0 { who } else { "" };
        let _ = writeln!(out, "{STRONG}{who:<9}{STRONG:#} {line}");
    }
    let _ = out.flush();
}
