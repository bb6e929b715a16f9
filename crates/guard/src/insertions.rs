//! Text that is added to a source, and where that moves the columns of its lines.

use crate::Guarded;

/// Texts to add, each at an offset of the source.
#[derive(Debug, Default)]
pub(crate) struct Insertions(Vec<(usize, String)>);

impl Insertions {
    pub(crate) fn add(&mut self, at: u32, text: String) {
        self.0.push((at as usize, text));
    }

    /// The source with the texts; those for the same offset in the order in which they were added.
    pub(crate) fn apply(mut self, source: &str) -> Guarded {
        self.0.sort_by_key(|(at, _)| *at);
        let mut result = String::with_capacity(source.len() + self.0.len() * 64);
        let mut shifts = Vec::new();
        let (mut done, mut line, mut column) = (0, 0_u32, 0_u32);
        for (at, text) in &self.0 {
            let passed = &source[done..*at];
            result.push_str(passed);
            for character in passed.chars() {
                if is_line_end(character) {
                    line += 1;
                    column = 0;
                } else {
                    column += utf16_width(character);
                }
            }
            // "\r\n" ends one line.
            line -= u32::try_from(passed.matches("\r\n").count()).unwrap_or(0);
            shifts.push(Shift {
                line,
                column,
                width: text.chars().map(utf16_width).sum(),
            });
            result.push_str(text);
            done = *at;
        }
        result.push_str(&source[done..]);
        Guarded {
            source: result,
            shifts: Shifts(shifts),
        }
    }
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

fn utf16_width(character: char) -> u32 {
    if character.len_utf16() == 2 { 2 } else { 1 }
}

#[derive(Clone, Copy, Debug)]
struct Shift {
    line: u32,
    /// Of the source, where the text was added.
    column: u32,
    width: u32,
}

/// Where columns have moved by the added texts.
#[derive(Clone, Debug, Default)]
pub struct Shifts(Vec<Shift>);

impl Shifts {
    /// The column of the source that is at `column` of the guarded text; lines are the same. All count from 0, in
    /// units of UTF-16. A column within an added text is that where it was added.
    #[must_use]
    pub fn original_column(&self, line: u32, column: u32) -> u32 {
        let begin = self.0.partition_point(|shift| shift.line < line);
        let mut moved = 0;
        for shift in self.0[begin..]
            .iter()
            .take_while(|shift| shift.line == line)
        {
            let at = shift.column + moved;
            if column < at {
                break;
            }
            if column < at + shift.width {
                return shift.column;
            }
            moved += shift.width;
        }
        column - moved
    }
}
