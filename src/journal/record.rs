//! One call, as it is written down.

use std::time::Duration;

use serde::Serialize;

/// Longest text of a function's path; who calls may make up any.
const MAX_PATH_BYTES: usize = 512;
/// Longest message of an error.
const MAX_ERROR_BYTES: usize = 32_768;

/// How a call ended.
pub(crate) enum Outcome<'a> {
    /// With a result.
    Success,
    /// With an error: its message.
    Error(&'a str),
}

/// What a call used.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) duration: Duration,
    pub(crate) documents_read: usize,
    pub(crate) documents_written: usize,
}

/// A call that has ended.
pub(crate) struct Entry<'a> {
    /// Microseconds since 1970, at the end of the call.
    pub(crate) unix_us: i64,
    /// None if nothing is deployed.
    pub(crate) deployment: Option<i64>,
    /// `messages:list`, whether it exists or not.
    pub(crate) function: &'a str,
    /// Whether there is such a function; only those have figures.
    pub(crate) found: bool,
    /// `query` or `mutation`.
    pub(crate) kind: &'static str,
    /// `client`, `admin` or `sql`.
    pub(crate) caller: &'static str,
    /// Session and request of a client's mutation.
    pub(crate) request: Option<&'a (String, i64)>,
    pub(crate) outcome: Outcome<'a>,
    pub(crate) figures: Figures,
    /// Lines of the console, like `[LOG] 'x'`.
    pub(crate) lines: &'a [String],
}

/// The record that calls of a module have a context of their own from now on.
pub(super) fn fresh_module(unix_us: i64, deployment: i64, module: &str, reason: &str) -> String {
    let lines = [format!(
        "[WARN] calls of {module} no longer share a context: {reason}"
    )];
    let entry = Entry {
        unix_us,
        deployment: Some(deployment),
        function: module,
        found: false,
        kind: "query",
        caller: "function",
        request: None,
        outcome: Outcome::Success,
        figures: Figures::default(),
        lines: &lines,
    };
    let (mut record, _) = entry.record(usize::MAX);
    record.fresh = Some(Fresh { module, reason });
    serde_json::to_string(&record).unwrap_or_default()
}

/// The names are those that `scribe::APPEND` reads.
#[derive(Serialize)]
struct Record<'a> {
    at: i64,
    deployment: Option<i64>,
    function: &'a str,
    found: bool,
    kind: &'a str,
    caller: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<i64>,
    ok: bool,
    ms: f64,
    read: usize,
    written: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<Line<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    fresh: Option<Fresh<'a>>,
}

#[derive(Serialize)]
struct Fresh<'a> {
    #[serde(rename = "fresh_module")]
    module: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    text: String,
}

impl Entry<'_> {
    /// As JSON text of at most about `limit` bytes, and whether lines were left out for that.
    pub(super) fn encode(&self, limit: usize) -> (String, bool) {
        let (record, was_cut) = self.record(limit);
        // Texts and numbers always have a JSON form.
        (serde_json::to_string(&record).unwrap_or_default(), was_cut)
    }

    fn record(&self, limit: usize) -> (Record<'_>, bool) {
        let mut lines: Vec<Line<'_>> = self.lines.iter().map(|line| split(line)).collect();
        if let Outcome::Error(message) = self.outcome {
            lines.push(Line {
                level: "ERROR",
                text: printable(cut(message, MAX_ERROR_BYTES)),
            });
        }
        let mut left = limit / 2;
        let count = lines.len();
        // Escapes may double a line's length. The newest lines say most about an error.
        lines.reverse();
        lines.retain(|line| match left.checked_sub(line.text.len() + 32) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        });
        lines.reverse();
        let was_cut = lines.len() < count;
        let record = Record {
            at: self.unix_us,
            deployment: self.deployment,
            function: cut(self.function, MAX_PATH_BYTES),
            found: self.found,
            kind: self.kind,
            caller: self.caller,
            session: self.request.map(|(session, _)| session.as_str()),
            request: self.request.map(|(_, request)| *request),
            ok: matches!(self.outcome, Outcome::Success),
            ms: self.figures.duration.as_secs_f64() * 1000.0,
            read: self.figures.documents_read,
            written: self.figures.documents_written,
            lines,
            fresh: None,
        };
        (record, was_cut)
    }
}

/// Level and text of a line of the console.
fn split(line: &str) -> Line<'_> {
    let parts = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    let (level, text) = parts.unwrap_or(("LOG", line));
    Line {
        level,
        text: printable(text),
    }
}

/// Postgres' texts cannot hold NUL.
fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
