//! Messages as the WebSocket sends them. Sessions in the same state that are told the same share one text.

use std::cell::RefCell;

use axum::extract::ws::Utf8Bytes;
use pg_live_session::{ServerMessage, StateModification, Transition};

use super::wire;

/// A text that is longer is not kept for the next session: a copy of it is not what sending it costs.
const SHARED_BYTES: usize = 256 << 10;

/// A transition and its text.
struct Written {
    transition: Transition,
    text: Utf8Bytes,
}

thread_local! {
    /// The last transition that this thread wrote. A commit that many sessions see is written for them one after the
    /// other, so the last one is nearly always the one.
    static LAST: RefCell<Option<Written>> = const { RefCell::new(None) };
}

/// The text frames of a message. `chunks`: whether the client knows transitions in parts.
pub(super) fn of(
    message: &ServerMessage,
    chunks: bool,
) -> Result<Vec<Utf8Bytes>, serde_json::Error> {
    let ServerMessage::Transition(transition) = message else {
        return write(message, chunks);
    };
    if let Some(text) = LAST.with_borrow(|last| same(last.as_ref(), transition)) {
        return Ok(vec![text]);
    }
    let frames = write(message, chunks)?;
    if let [text] = frames.as_slice()
        && text.len() <= SHARED_BYTES
        && !transition.modifications.iter().any(is_error)
    {
        let written = Written {
            transition: transition.clone(),
            text: text.clone(),
        };
        LAST.set(Some(written));
    }
    Ok(frames)
}

/// The text of an error has the number of the request that it is told to.
fn is_error(modification: &StateModification) -> bool {
    match modification {
        StateModification::Updated { answer, .. } => answer.outcome.is_err(),
        StateModification::Removed { .. } => false,
    }
}

fn same(last: Option<&Written>, transition: &Transition) -> Option<Utf8Bytes> {
    let last = last.filter(|last| last.transition == *transition)?;
    Some(last.text.clone())
}

fn write(message: &ServerMessage, chunks: bool) -> Result<Vec<Utf8Bytes>, serde_json::Error> {
    let frames = wire::frames(wire::encode(message)?, chunks)?;
    Ok(frames.into_iter().map(Utf8Bytes::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pg_live_session::{Answer, QueryResult, Version};

    fn transition(ts: u64, value: &str) -> ServerMessage {
        let result = QueryResult {
            outcome: Ok(value.to_owned()),
            log_lines: Vec::new(),
            journal: None,
            registered: Some(1),
            not_live: None,
        };
        let version = |ts| Version {
            query_set: 1,
            identity: 0,
            ts,
        };
        ServerMessage::Transition(Transition {
            start: version(ts - 1),
            end: version(ts),
            modifications: vec![StateModification::Updated {
                query_id: 0,
                answer: Answer::from(result),
                journal: None,
            }],
        })
    }

    #[test]
    fn each_message_gets_its_own_text_and_the_same_one_a_shared_one() {
        let messages = [
            transition(5, "1"),
            transition(5, "1"),
            transition(6, "1"),
            transition(6, "2"),
            transition(5, "1"),
        ];
        let texts = messages.each_ref().map(|message| {
            let frames = of(message, true).unwrap();
            assert_eq!(frames[0].as_str(), wire::encode(message).unwrap());
            frames[0].clone()
        });
        assert_eq!(texts[0].as_str().as_ptr(), texts[1].as_str().as_ptr());
    }

    #[test]
    fn what_is_sent_in_parts_is_not_shared_with_who_does_not_know_them() {
        let long = transition(7, &format!("\"{}\"", "a".repeat(6 << 20)));
        assert_eq!(of(&long, true).unwrap().len(), 2);
        assert_eq!(of(&long, false).unwrap().len(), 1);
        assert_eq!(of(&long, true).unwrap().len(), 2);
    }
}
