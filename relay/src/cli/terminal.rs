//! What a person sees: colours and progress bars on a terminal, plain text elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

/// Something that works.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Something to look at.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Something that does not work.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// A heading.
pub(crate) const STRONG: Style = Style::new().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();

/// How often a bar without news turns.
const TICK: Duration = Duration::from_millis(120);

/// Prints a line to standard output; that nobody reads on (`| head`) is not an error.
pub(crate) fn print_line(text: &str) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// Tells a person something beside the output proper.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Whether a person looks at standard output.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// A bar for work that tells how far it is; on anything but a terminal it says nothing.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Begins.
    pub(crate) fn start(what: &str) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(1000)
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:24} {percent:>3} %  {msg}")
        {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// How far it is, from 0 to 100, and what it is doing.
    pub(crate) fn at(&self, percent: f64, what: &str) {
        // A part of a thousand, and never negative.
        self.0
            .set_position((percent.clamp(0.0, 100.0) * 10.0) as u64);
        self.0.set_message(what.to_owned());
    }

    /// Removes the bar.
    pub(crate) fn end(self) {
        self.0.finish_and_clear();
    }
}

/// Rows under headings, each column as wide as it needs.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .chain([headings.get(column).map_or(0, |heading| heading.len())])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let heading = line(&mut headings.iter().copied());
    let mut lines = vec![format!("{STRONG}{heading}{STRONG:#}")];
    lines.extend(
        rows.iter()
            .map(|row| line(&mut row.iter().map(String::as_str))),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = table(&["a", "bb"], &[vec!["xyz".into(), "1".into()]]);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain, "a    bb\nxyz  1");
    }
}
