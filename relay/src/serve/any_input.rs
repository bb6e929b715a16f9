//! Gives any text to every parser of what clients and operators write. None may panic, and what they accept must be
//! good for what comes after.

use std::collections::VecDeque;
use std::path::Path;

use pg_live_session::{
    ClientMessage, Command, Event, Limits, Moment, MutationOutcome, QueryResult, Run, RunNumber,
    Session, Sub,
};

use super::settings::parse_file;
use super::{admin, auth, frames, functions, snapshots, wire};
use crate::dev;
use crate::postgres::Target;

/// Frames of WebSockets, bodies and headers of requests.
pub fn parse_anything(text: &str) {
    if let Ok(wire::Heard::Message(message)) = wire::parse(text) {
        // A session takes whatever is of the protocol; before Connect it refuses all the rest.
        let mut session = Session::new(1, Limits::default());
        for command in session.handle(0, Event::Message(message)) {
            if let pg_live_session::Command::Send(answer) = command {
                let answer = wire::encode(&answer).unwrap_or_default();
                let _ = wire::frames(answer, true);
            }
        }
    }
    if let Some(name) = wire::decode_ts(text).and_then(snapshots::SnapshotName::from_ts) {
        assert_eq!(
            wire::decode_ts(&wire::encode_ts(name.ts())),
            Some(name.ts())
        );
    }
    let _ = snapshots::SnapshotName::parse(text);
    functions::parse_anything(text);
    auth::parse_anything(text);
}

/// What providers say of their keys, and after the first line a token.
pub fn parse_any_keys(text: &str) {
    let (keys, token) = text.split_once('\n').unwrap_or((text, ""));
    auth::parse_any_keys(keys, token);
}

/// A file to be imported.
pub fn parse_any_import(bytes: &[u8]) {
    admin::parse_any_import(bytes);
}

/// Frames of one connection, one in each line. Queries and mutations give what they are called with, at once.
pub fn parse_any_conversation(text: &str) {
    let mut connection = Connection::new();
    for line in text.lines() {
        if !connection.session.accepts_messages() {
            break;
        }
        connection.tell(heard(line));
        connection.invalidate();
    }
    connection.tell(Event::Disconnected);
    assert!(connection.session.is_finished());
}

/// What a session is told of a frame; every token is taken for what it says.
fn heard(frame: &str) -> Event {
    match wire::parse(frame) {
        Ok(wire::Heard::Message(message)) => Event::Message(message),
        Ok(wire::Heard::Token {
            base_version,
            token,
        }) => {
            let authentication = auth::any_authentication(*token);
            Event::Message(ClientMessage::Authenticate {
                base_version,
                authentication,
            })
        }
        Err(why) => Event::Malformed(why),
    }
}

/// A session whose commands are carried out as they come.
struct Connection {
    session: Session,
    now_ms: u64,
    shown: Vec<(Sub, RunNumber)>,
}

impl Connection {
    fn new() -> Self {
        Self {
            session: Session::new(1, Limits::default()),
            now_ms: 0,
            shown: Vec::new(),
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            boot: 1,
            c: self.now_ms,
        }
    }

    /// What is shown is out of date.
    fn invalidate(&mut self) {
        for (sub, generation) in std::mem::take(&mut self.shown) {
            let moment = self.moment();
            self.tell(Event::Invalidated {
                sub,
                generation,
                moment,
            });
        }
        if let Some(at_ms) = self.session.wake_at() {
            self.now_ms = self.now_ms.max(at_ms);
            self.tell(Event::Timer);
        }
    }

    fn tell(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.now_ms += 1;
            for command in self.session.handle(self.now_ms, event) {
                events.extend(self.carry_out(command));
            }
        }
    }

    fn carry_out(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Run(run) | Command::Extend(run) => Some(self.run(run)),
            Command::Mutate(mutation) => Some(Event::MutationFinished {
                request_id: mutation.request_id,
                outcome: MutationOutcome::Committed {
                    moment: self.moment(),
                    value: mutation.args,
                    log_lines: vec![mutation.path],
                },
            }),
            Command::Send(message) => {
                let written = frames::of(&message, true).unwrap_or_default();
                assert!(!written.is_empty(), "{message:?} cannot be written");
                for frame in written {
                    let json = serde_json::from_str::<serde_json::Value>(&frame);
                    assert!(json.is_ok(), "{frame}");
                }
                Some(Event::Sent)
            }
            Command::Unregister(_) => None,
            Command::Close { .. } => Some(Event::Disconnected),
        }
    }

    fn run(&mut self, run: Run) -> Event {
        let moment = self.moment().max(run.min);
        let results = run.queries.into_iter().map(|query| {
            self.shown.push((query.sub, run.number));
            let result = QueryResult {
                outcome: Ok(query.args.to_string()),
                log_lines: vec![query.path.to_string()],
                journal: query.journal,
                registered: Some(self.now_ms),
                not_live: None,
            };
            (query.sub, result.into())
        });
        Event::RunFinished {
            run: run.number,
            moment,
            results: results.collect(),
            release: None,
        }
    }
}

/// Settings in a file, URLs of databases, and files of environment variables.
pub fn parse_any_settings(text: &str) {
    if let Ok(settings) = parse_file(Path::new("any"), text) {
        let _ = settings.into_config();
    }
    // Files that a URL names are not to be read here.
    if !text.contains("ssl") {
        let _ = Target::parse(text);
    }
    dev::parse_any_env_file(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const GOOD: &[&str] = &[
        r#"{"type":"Connect","sessionId":"4bf4a54d-66a6-4b0e-a4d4-5f9a0b8e6a0d","connectionCount":0,"lastCloseReason":"InitialConnect","maxObservedTimestamp":"BQAAAAAAAAA=","clientTs":1700000000000}"#,
        r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":3,"udfPath":"a/b:c","args":[{"n":1}],"journal":null,"componentPath":""},{"type":"Remove","queryId":2}]}"#,
        r#"{"type":"Mutation","requestId":4294967295,"udfPath":"m:f","args":[{"x":{"$integer":"AQAAAAAAAAA="}}]}"#,
        r#"{"type":"Action","requestId":0,"udfPath":"m:f","args":[{}]}"#,
        r#"{"type":"Authenticate","tokenType":"Admin","value":"k","baseVersion":4,"impersonating":{"issuer":"i","subject":"s"}}"#,
        r#"{"type":"Authenticate","tokenType":"User","value":"a.b.c","baseVersion":0}"#,
        r#"{"type":"Event","eventType":"x","event":{"a":[1]}}"#,
        r#"{"path":"m:f","args":[{"a":1}],"format":"json","componentPath":"","ts":"AQAAAAAAAAA="}"#,
        r#"{"queries":[{"path":"m:f","args":{}}]}"#,
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJpIiwic3ViIjoicyIsImV4cCI6MX0.AAAA",
        "Convex app|key:eyJpc3N1ZXIiOiJpIiwic3ViamVjdCI6InMifQ==",
        "AQAAAAAAAAA=",
    ];

    #[test]
    fn a_conversation_goes_on_to_its_end() {
        parse_any_conversation(&GOOD.join("\n"));
        parse_any_conversation(&GOOD[..7].repeat(3).join("\n"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn whatever_clients_send_is_read_or_refused(
            which in 0..GOOD.len(),
            changes in vec((any::<u16>(), 0..3u8, any::<u8>()), 0..5),
        ) {
            let mut bytes = GOOD[which].as_bytes().to_vec();
            for (place, kind, byte) in changes {
                let place = usize::from(place) % bytes.len().max(1);
                match kind {
                    0 => bytes.insert(place, byte),
                    1 if place < bytes.len() => bytes[place] = byte,
                    _ if place < bytes.len() => drop(bytes.remove(place)),
                    _ => {}
                }
            }
            parse_anything(&String::from_utf8_lossy(&bytes));
        }
    }
}
