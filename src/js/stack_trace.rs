//! The text of an uncaught error: V8's own stack trace with source maps applied.

use super::source_map::SourceMaps;
use super::specifier::RUNTIME_SCHEME;

/// Most frames that a message shows.
const MAX_FRAMES: usize = 64;

/// `Uncaught <header>`, then the frames of `stack` (the value of `error.stack`) with their positions mapped,
/// each on a line of its own and ended by a newline. Frames of the runtime itself are left out.
pub(super) fn uncaught(header: &str, stack: Option<&str>, maps: &dyn SourceMaps) -> String {
    let mut text = format!("Uncaught {header}\n");
    let frames = stack.map(|stack| frames(header, stack)).unwrap_or_default();
    for frame in frames
        .lines()
        .filter(|line| is_frame(line))
        .take(MAX_FRAMES)
    {
        if !frame.contains(RUNTIME_SCHEME) {
            text.push_str(&mapped_frame(frame, maps));
            text.push('\n');
        }
    }
    text
}

/// The part of a stack trace that holds the frames. The message comes first and may itself hold lines that
/// look like frames, so skip it as a whole if it is there unchanged.
fn frames<'a>(header: &str, stack: &'a str) -> &'a str {
    stack.strip_prefix(header).unwrap_or(stack)
}

fn is_frame(line: &str) -> bool {
    line.starts_with("    at ")
}

/// One line `    at f (script:line:column)` or `    at script:line:column` with its position mapped. A frame
/// without a name is shown as `<anonymous>`.
fn mapped_frame(frame: &str, maps: &dyn SourceMaps) -> String {
    let body = frame.trim_start().trim_start_matches("at ");
    let (name, location) = match body.rfind(" (").filter(|_| body.ends_with(')')) {
        Some(open) => (&body[..open], &body[open + 2..body.len() - 1]),
        None => match body.strip_prefix("async ") {
            Some(location) => ("async <anonymous>", location),
            None => ("<anonymous>", body),
        },
    };
    match split_location(location) {
        Some((script, line, column)) => {
            let at = maps.map(script, line, column);
            format!("    at {name} ({}:{}:{})", at.path, at.line, at.column)
        }
        None => format!("    at {name} ({location})"),
    }
}

/// `script:line:column`, counted from 1, as script and positions counted from 0.
fn split_location(location: &str) -> Option<(&str, u32, u32)> {
    let (rest, column) = location.rsplit_once(':')?;
    let (script, line) = rest.rsplit_once(':')?;
    Some((
        script,
        line.parse::<u32>().ok()?.checked_sub(1)?,
        column.parse::<u32>().ok()?.checked_sub(1)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::source_map::{MappedPosition, unmapped};
    use super::*;

    struct Maps;

    impl SourceMaps for Maps {
        fn map(&self, script: &str, line: u32, column: u32) -> MappedPosition {
            match script {
                "convex:/user/a.js" => MappedPosition {
                    path: "../convex/a.ts".into(),
                    line: line + 100,
                    column: 3,
                },
                other => unmapped(other, line, column),
            }
        }
    }

    #[test]
    fn frames_are_mapped_and_named() {
        let stack = "Error: no\n    at f (convex:/user/a.js:2:5)\n    at convex:/user/b.js:1:9\n    \
                     at async g (convex:/user/a.js:9:1)\n    at async convex:/user/a.js:3:3\n    \
                     at new Promise (<anonymous>)";
        let expected = "Uncaught Error: no\n    at f (../convex/a.ts:101:3)\n    \
                        at <anonymous> (b.js:1:9)\n    at async g (../convex/a.ts:108:3)\n    \
                        at async <anonymous> (../convex/a.ts:102:3)\n    at new Promise (<anonymous>)\n";
        assert_eq!(uncaught("Error: no", Some(stack), &Maps), expected);
    }

    #[test]
    fn lines_of_the_message_are_no_frames() {
        let header = "Error: first\n    at fake (x:1:1)";
        let stack = "Error: first\n    at fake (x:1:1)\n    at f (convex:/user/a.js:1:1)";
        assert_eq!(
            uncaught(header, Some(stack), &Maps),
            "Uncaught Error: first\n    at fake (x:1:1)\n    at f (../convex/a.ts:100:3)\n"
        );
    }

    #[test]
    fn frames_of_the_runtime_are_left_out() {
        let stack = "Error: no\n    at now (pg_live:runtime:2:5)\n    at f (convex:/user/b.js:1:1)";
        assert_eq!(
            uncaught("Error: no", Some(stack), &Maps),
            "Uncaught Error: no\n    at f (b.js:1:1)\n"
        );
    }

    #[test]
    fn no_stack() {
        assert_eq!(uncaught("7", None, &Maps), "Uncaught 7\n");
    }
}
