//! The console's lines of one call, and their bounds.

/// Most lines one call may write.
pub(super) const MAX_LINES: usize = 256;
/// Most bytes of one line.
pub(super) const MAX_LINE_BYTES: usize = 32_768;

const OVERFLOW: &str = "[ERROR] 'Log overflow (maximum 256). Remaining log lines omitted.'";
const TRUNCATED: &str = " (truncated due to length)";

/// Lines written so far; past [`MAX_LINES`] the last one says so and the rest is dropped.
#[derive(Debug, Default)]
pub(super) struct LogLines {
    lines: Vec<String>,
    overflown: bool,
}

impl LogLines {
    /// Adds a line of `level` (LOG, WARN, ...) with text that is formatted already.
    pub(super) fn push(&mut self, level: &str, text: &str) {
        if self.overflown {
            return;
        }
        let mut line = format!("[{level}] {text}");
        if line.len() > MAX_LINE_BYTES {
            line.truncate(line.floor_char_boundary(MAX_LINE_BYTES - TRUNCATED.len()));
            line.push_str(TRUNCATED);
        }
        self.push_line(line);
    }

    /// Adds the lines of a nested call.
    pub(super) fn append(&mut self, lines: Vec<String>) {
        lines.into_iter().for_each(|line| self.push_line(line));
    }

    fn push_line(&mut self, line: String) {
        if self.overflown {
            return;
        }
        if self.lines.len() == MAX_LINES {
            self.overflown = true;
            self.lines.pop();
            self.lines.push(OVERFLOW.to_owned());
            return;
        }
        self.lines.push(line);
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines, at the end of the call.
    pub(super) fn into_vec(self) -> Vec<String> {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_replaces_the_last_line() {
        let mut lines = LogLines::default();
        for i in 0..MAX_LINES + 10 {
            lines.push("LOG", &i.to_string());
        }
        let lines = lines.into_vec();
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!(lines[MAX_LINES - 2], "[LOG] 254");
        assert_eq!(lines[MAX_LINES - 1], OVERFLOW);
    }

    #[test]
    fn exactly_the_maximum_fits() {
        let mut lines = LogLines::default();
        for _ in 0..MAX_LINES {
            lines.push("LOG", "x");
        }
        assert_eq!(lines.into_vec().last().map(String::as_str), Some("[LOG] x"));
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let mut lines = LogLines::default();
        lines.push("LOG", &"é".repeat(MAX_LINE_BYTES));
        let lines = lines.into_vec();
        assert!(lines[0].len() <= MAX_LINE_BYTES);
        assert!(lines[0].ends_with("é (truncated due to length)"));
    }
}
