//! The sync protocol's JSON: client messages into the session's types, server messages into text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use convex_sync_types::{AuthenticationToken, ClientMessage as WireMessage, QuerySetModification};
use pg_live_session::{
    ClientMessage, Failure, Modification, ServerMessage, StateModification, Transition, Version,
};
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::info;

use super::request_id;

/// The text of the `Ping` message.
pub(crate) const PING: &str = r#"{"type":"Ping"}"#;

/// A message of a client, as it was read.
#[derive(Debug)]
pub(crate) enum Heard {
    /// For the session.
    Message(ClientMessage),
    /// For the session once the token was judged.
    Token {
        /// The identity version that the token follows.
        base_version: u32,
        /// Not judged yet.
        token: Box<AuthenticationToken>,
    },
}

/// Reads one text frame; the error says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Heard, String> {
    let json: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| format!("A message that is not JSON arrived: {error}"))?;
    let message = WireMessage::try_from(json).map_err(|error| {
        format!("A message that is not of the sync protocol arrived: {error:#}")
    })?;
    Ok(Heard::Message(match message {
        WireMessage::Connect {
            session_id,
            max_observed_timestamp,
            ..
        } => ClientMessage::Connect {
            session_id: session_id.to_string(),
            max_observed_timestamp: max_observed_timestamp.map(u64::from),
        },
        WireMessage::ModifyQuerySet {
            base_version,
            new_version,
            modifications,
        } => {
            let modifications = modifications.into_iter().map(modification).collect();
            ClientMessage::ModifyQuerySet {
                base_version,
                new_version,
                modifications,
            }
        }
        WireMessage::Mutation {
            request_id,
            udf_path,
            args,
            ..
        } => ClientMessage::Mutation {
            request_id,
            path: String::from(udf_path),
            args: args.get().to_owned(),
        },
        WireMessage::Action { request_id, .. } => ClientMessage::Action { request_id },
        WireMessage::Authenticate {
            base_version,
            token,
        } => {
            return Ok(Heard::Token {
                base_version,
                token: Box::new(token),
            });
        }
        WireMessage::Event(_) => ClientMessage::Event,
    }))
}

fn modification(modification: QuerySetModification) -> Modification {
    match modification {
        QuerySetModification::Add(query) => Modification::Add {
            query_id: query.query_id.get_id(),
            path: String::from(query.udf_path),
            args: query.args.get().to_owned(),
            journal: query.journal.flatten(),
        },
        QuerySetModification::Remove { query_id } => Modification::Remove {
            query_id: query_id.get_id(),
        },
    }
}

/// A server message as it is written. Values are already encoded and go in as they are.
#[derive(Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
enum Frame<'a> {
    MutationResponse {
        request_id: u32,
        success: bool,
        result: Body<'a>,
        ts: Option<String>,
        log_lines: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        error_data: Option<Box<RawValue>>,
    },
    ActionResponse {
        request_id: u32,
        success: bool,
        result: String,
        log_lines: [String; 0],
    },
    AuthError {
        error: &'a str,
        base_version: u32,
        auth_update_attempted: bool,
    },
    FatalError {
        error: &'a str,
    },
    TransitionChunk {
        chunk: &'a str,
        part_number: usize,
        total_parts: usize,
        transition_id: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
enum ModificationFrame<'a> {
    #[serde(rename = "QueryFailed")]
    Failed {
        query_id: u32,
        error_message: String,
        log_lines: &'a [String],
        journal: Option<&'a str>,
        /// Absent, not null, for all but a `ConvexError`.
        #[serde(skip_serializing_if = "Option::is_none")]
        error_data: Option<Box<RawValue>>,
    },
    #[serde(rename = "QueryRemoved")]
    Removed { query_id: u32 },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Value(&'a RawValue),
    Message(String),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireVersion {
    query_set: u32,
    identity: u32,
    ts: String,
}

/// Writes one text frame.
pub(crate) fn encode(message: &ServerMessage) -> Result<String, serde_json::Error> {
    match message {
        ServerMessage::Transition(transition) => transition_text(transition),
        ServerMessage::MutationResponse {
            request_id,
            result,
            log_lines,
        } => mutation_response(*request_id, result.as_ref(), log_lines),
        ServerMessage::ActionResponse {
            request_id,
            failure,
        } => serde_json::to_string(&Frame::ActionResponse {
            request_id: *request_id,
            success: false,
            result: error_text(&failure.message),
            log_lines: [],
        }),
        ServerMessage::AuthError {
            message,
            update_attempted,
            base_version,
        } => serde_json::to_string(&Frame::AuthError {
            error: message,
            base_version: *base_version,
            auth_update_attempted: *update_attempted,
        }),
        ServerMessage::FatalError { message } => {
            serde_json::to_string(&Frame::FatalError { error: message })
        }
    }
}

fn mutation_response(
    request_id: u32,
    result: Result<&(String, u64), &Failure>,
    log_lines: &[String],
) -> Result<String, serde_json::Error> {
    let value;
    let (body, ts, error_data) = match result {
        Ok((text, ts)) => {
            value = raw(text)?;
            (Body::Value(&value), Some(encode_ts(*ts)), None)
        }
        Err(failure) => (
            Body::Message(error_text(&failure.message)),
            None,
            error_data(failure)?,
        ),
    };
    let success = result.is_ok();
    let frame = Frame::MutationResponse {
        request_id,
        success,
        result: body,
        ts,
        log_lines,
        error_data,
    };
    serde_json::to_string(&frame)
}

/// Values were found to be JSON when they came from the database, and go in as they are: each client costs no more than a
/// copy of them.
fn transition_text(transition: &Transition) -> Result<String, serde_json::Error> {
    let Transition {
        start,
        end,
        modifications,
    } = transition;
    let mut text = String::with_capacity(256 + modifications.iter().map(length).sum::<usize>());
    text.push_str(r#"{"type":"Transition","startVersion":"#);
    text.push_str(&version(start)?);
    text.push_str(r#","endVersion":"#);
    text.push_str(&version(end)?);
    text.push_str(r#","modifications":["#);
    for (n, modification) in modifications.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        push_modification(&mut text, modification)?;
    }
    text.push_str("]}");
    Ok(text)
}

/// About as many bytes as a modification will have.
fn length(modification: &StateModification) -> usize {
    match modification {
        StateModification::Updated { answer, .. } => {
            128 + answer.outcome.as_ref().map_or(512, String::len)
        }
        StateModification::Removed { .. } => 64,
    }
}

fn push_modification(
    text: &mut String,
    modification: &StateModification,
) -> Result<(), serde_json::Error> {
    let frame = match modification {
        StateModification::Updated {
            query_id,
            answer,
            journal,
        } => match &answer.outcome {
            Ok(value) => {
                text.push_str(r#"{"type":"QueryUpdated","queryId":"#);
                text.push_str(&query_id.to_string());
                text.push_str(r#","value":"#);
                text.push_str(value);
                text.push_str(r#","logLines":"#);
                text.push_str(&serde_json::to_string(&answer.log_lines)?);
                text.push_str(r#","journal":"#);
                text.push_str(&serde_json::to_string(journal)?);
                text.push('}');
                return Ok(());
            }
            Err(failure) => ModificationFrame::Failed {
                query_id: *query_id,
                error_message: error_text(&failure.message),
                log_lines: &answer.log_lines,
                journal: journal.as_deref(),
                error_data: error_data(failure)?,
            },
        },
        StateModification::Removed { query_id } => ModificationFrame::Removed {
            query_id: *query_id,
        },
    };
    text.push_str(&serde_json::to_string(&frame)?);
    Ok(())
}

fn version(version: &Version) -> Result<String, serde_json::Error> {
    let Version {
        query_set,
        identity,
        ts,
    } = *version;
    serde_json::to_string(&WireVersion {
        query_set,
        identity,
        ts: encode_ts(ts),
    })
}

/// A timestamp as base64 of its 8 bytes, little-endian: JavaScript's numbers are too narrow.
pub(crate) fn encode_ts(ts: u64) -> String {
    STANDARD.encode(ts.to_le_bytes())
}

/// Reads a timestamp as [`encode_ts`] writes it.
pub(crate) fn decode_ts(text: &str) -> Option<u64> {
    let bytes = STANDARD.decode(text).ok()?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// A transition longer than this is sent in parts, to clients that know how to put them together.
const CHUNK: usize = 5 << 20;

/// The text frames that a message is sent in. `chunks`: whether the client knows `TransitionChunk`.
pub(crate) fn frames(text: String, chunks: bool) -> Result<Vec<String>, serde_json::Error> {
    if !chunks || text.len() <= CHUNK || !text.starts_with(r#"{"type":"Transition""#) {
        return Ok(vec![text]);
    }
    let parts = split(&text, CHUNK);
    let (total_parts, transition_id) = (parts.len(), format!("{:016x}", rand::random::<u64>()));
    let frame = |(part_number, chunk)| {
        serde_json::to_string(&Frame::TransitionChunk {
            chunk,
            part_number,
            total_parts,
            transition_id: &transition_id,
        })
    };
    parts.into_iter().enumerate().map(frame).collect()
}

/// Parts of at most `most` bytes (at least 4), none of which ends within a character.
fn split(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > most {
        let (part, after) = rest.split_at(rest.floor_char_boundary(most));
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

/// What a client is told of an error: a number to find it by in the log, and the message with its stack. One that
/// has a number already stays as it is.
pub(crate) fn error_text(message: &str) -> String {
    if message.starts_with(NUMBERED) {
        return message.to_owned();
    }
    let request_id = request_id::current();
    info!(target: "function", request_id, error = message.trim_end(), "a call failed");
    format!("{NUMBERED}{request_id}] Server Error\n{message}")
}

/// How an error with a number begins.
const NUMBERED: &str = "[Request ID: ";

/// An error of which clients learn nothing but the number under which the log has it.
pub(crate) fn hidden_error(request_id: &str) -> String {
    format!("{NUMBERED}{request_id}] Server Error")
}

fn error_data(failure: &Failure) -> Result<Option<Box<RawValue>>, serde_json::Error> {
    failure.data.as_deref().map(raw).transpose()
}

fn raw(text: &str) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use convex_sync_types::{
        ErrorPayload, ServerMessage as Reference, StateModification as Change,
    };
    use pg_live_session::QueryResult;
    use serde_json::Value as Json;

    /// What the clients' own library makes of a frame.
    #[derive(Debug, Clone, PartialEq)]
    struct Value(Json);

    impl TryFrom<Json> for Value {
        type Error = anyhow::Error;

        fn try_from(json: Json) -> Result<Self, Self::Error> {
            Ok(Self(json))
        }
    }

    fn read_back(message: &ServerMessage) -> Reference<Value> {
        let json: Json = serde_json::from_str(&encode(message).unwrap()).unwrap();
        Reference::try_from(json).unwrap()
    }

    fn parse_ok(text: &str) -> ClientMessage {
        match parse(text).unwrap() {
            Heard::Message(message) => message,
            Heard::Token { token, .. } => panic!("{token:?}"),
        }
    }

    #[test]
    fn client_messages() {
        let connect = parse_ok(
            r#"{"type":"Connect","sessionId":"4bf4a54d-66a6-4b0e-a4d4-5f9a0b8e6a0d",
            "connectionCount":2,"lastCloseReason":null,"maxObservedTimestamp":"BQAAAAAAAAA=",
            "clientTs":1700000000000}"#,
        );
        let session_id = "4bf4a54d-66a6-4b0e-a4d4-5f9a0b8e6a0d".to_owned();
        assert_eq!(
            connect,
            ClientMessage::Connect {
                session_id,
                max_observed_timestamp: Some(5)
            }
        );
        let modify = parse_ok(
            r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[
            {"type":"Add","queryId":3,"udfPath":"a/b:c","args":[{"n":1}],"journal":"j"},
            {"type":"Remove","queryId":2}]}"#,
        );
        let args = r#"[{"n":1}]"#.to_owned();
        let modifications = vec![
            Modification::Add {
                query_id: 3,
                path: "a/b:c".into(),
                args,
                journal: Some("j".into()),
            },
            Modification::Remove { query_id: 2 },
        ];
        let expected = ClientMessage::ModifyQuerySet {
            base_version: 0,
            new_version: 1,
            modifications,
        };
        assert_eq!(modify, expected);
        let admin = parse(
            r#"{"type":"Authenticate","tokenType":"Admin","value":"key","baseVersion":4,
            "impersonating":{"issuer":"i","subject":"s"}}"#,
        );
        let Ok(Heard::Token {
            base_version: 4,
            token,
        }) = admin
        else {
            panic!("{admin:?}")
        };
        let AuthenticationToken::Admin(key, Some(_)) = *token else {
            panic!("{token:?}")
        };
        assert_eq!(key, "key");
        let event = r#"{"type":"Event","eventType":"ClientConnect","event":{"a":[1]}}"#;
        assert_eq!(parse_ok(event), ClientMessage::Event);
    }

    #[test]
    fn long_transitions_are_sent_in_parts_that_give_the_whole() {
        let text = format!(
            r#"{{"type":"Transition","x":"{}"}}"#,
            "aé\"".repeat(CHUNK / 3)
        );
        assert_eq!(
            frames(text.clone(), false).unwrap(),
            std::slice::from_ref(&text)
        );
        let frames = frames(text.clone(), true).unwrap();
        assert!(frames.len() > 1);
        let mut whole = String::new();
        for (n, frame) in frames.iter().enumerate() {
            let json: Json = serde_json::from_str(frame).unwrap();
            let Ok(Reference::<Value>::TransitionChunk { .. }) = Reference::try_from(json.clone())
            else {
                panic!("not a chunk: {frame}");
            };
            assert_eq!(
                (&json["partNumber"], &json["totalParts"]),
                (&n.into(), &frames.len().into())
            );
            whole.push_str(json["chunk"].as_str().unwrap());
        }
        assert_eq!(whole, text);
    }

    #[test]
    fn an_error_that_has_a_number_keeps_it() {
        let hidden = hidden_error("0123456789abcdef");
        assert_eq!(
            error_text(&hidden),
            "[Request ID: 0123456789abcdef] Server Error"
        );
    }

    #[test]
    fn nonsense_is_told() {
        assert!(parse("{").unwrap_err().contains("not JSON"));
        assert!(
            parse(r#"{"type":"Dance"}"#)
                .unwrap_err()
                .contains("sync protocol")
        );
        let bad_path = r#"{"type":"Mutation","requestId":0,"udfPath":"..:f","args":[{}]}"#;
        assert!(parse(bad_path).is_err());
    }

    /// A removal, a value, an error and a `ConvexError`.
    fn sample_transition() -> ServerMessage {
        let failure = |data: Option<&str>| Failure {
            message: "Uncaught Error: no".into(),
            data: data.map(Into::into),
        };
        let updated = |query_id, outcome| StateModification::Updated {
            query_id,
            answer: QueryResult {
                outcome,
                log_lines: vec!["[LOG] 'x'".into()],
                journal: None,
                registered: None,
                not_live: None,
            }
            .into(),
            journal: None,
        };
        let modifications = vec![
            StateModification::Removed { query_id: 9 },
            updated(1, Ok(r#"{"$integer":"AQAAAAAAAAA="}"#.into())),
            updated(2, Err(failure(None))),
            updated(3, Err(failure(Some("null")))),
        ];
        let start = Version {
            query_set: 1,
            identity: 0,
            ts: 7,
        };
        let end = Version {
            query_set: 2,
            identity: 1,
            ts: (5 << 44) + 9,
        };
        ServerMessage::Transition(Transition {
            start,
            end,
            modifications,
        })
    }

    #[test]
    fn transitions_are_read_by_the_clients_library() {
        let Reference::Transition {
            start_version,
            end_version,
            modifications,
            ..
        } = read_back(&sample_transition())
        else {
            panic!("not a transition");
        };
        assert_eq!(
            (start_version.query_set, u64::from(start_version.ts)),
            (1, 7)
        );
        assert_eq!(
            (end_version.identity, u64::from(end_version.ts)),
            (1, (5 << 44) + 9)
        );
        let [
            Change::QueryRemoved { .. },
            Change::QueryUpdated { value, .. },
            plain,
            with_data,
        ] = &modifications[..]
        else {
            panic!("{modifications:?}");
        };
        assert_eq!(value.0["$integer"], "AQAAAAAAAAA=");
        let Change::QueryFailed {
            error_message,
            error_data: None,
            ..
        } = plain
        else {
            panic!("{plain:?}");
        };
        assert!(
            error_message.starts_with("[Request ID: "),
            "{error_message}"
        );
        assert!(
            error_message.ends_with("] Server Error\nUncaught Error: no"),
            "{error_message}"
        );
        let Change::QueryFailed {
            error_data: Some(data),
            ..
        } = with_data
        else {
            panic!("{with_data:?}");
        };
        assert_eq!(data.0, Json::Null);
    }

    #[test]
    fn responses_are_read_by_the_clients_library() {
        let log_lines = vec![];
        let result = Ok((r#"[1,"é"]"#.to_owned(), 1 << 44));
        let ok = ServerMessage::MutationResponse {
            request_id: 4,
            result,
            log_lines,
        };
        let Reference::MutationResponse {
            request_id: 4,
            result: Ok(value),
            ts: Some(ts),
            ..
        } = read_back(&ok)
        else {
            panic!("not a success");
        };
        assert_eq!(
            (value.0, u64::from(ts)),
            (serde_json::json!([1, "é"]), 1 << 44)
        );
        let failure = Failure {
            message: "no".into(),
            data: Some("[1]".into()),
        };
        let failed = ServerMessage::ActionResponse {
            request_id: 5,
            failure: failure.clone(),
        };
        assert!(matches!(
            read_back(&failed),
            Reference::ActionResponse { result: Err(_), .. }
        ));
        let (result, log_lines) = (Err(failure), vec![]);
        let failed = ServerMessage::MutationResponse {
            request_id: 6,
            result,
            log_lines,
        };
        let Reference::MutationResponse {
            result: Err(ErrorPayload::ErrorData { data, .. }),
            ..
        } = read_back(&failed)
        else {
            panic!("not a failure");
        };
        assert_eq!(data.0, serde_json::json!([1]));
        let message = "x".to_owned();
        let auth = ServerMessage::AuthError {
            update_attempted: true,
            message: message.clone(),
            base_version: 3,
        };
        assert!(matches!(
            read_back(&auth),
            Reference::AuthError {
                base_version: Some(3),
                ..
            }
        ));
        let fatal = ServerMessage::FatalError { message };
        assert!(matches!(read_back(&fatal), Reference::FatalError { .. }));
        let ping: Json = serde_json::from_str(PING).unwrap();
        assert!(matches!(
            Reference::<Value>::try_from(ping),
            Ok(Reference::Ping)
        ));
    }
}
