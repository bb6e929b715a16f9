//! Gives any text to every parser of what clients and operators write. None may panic, and what they accept must be
//! good for what comes after.

use std::path::Path;

use pg_live_session::{Event, Limits, Session};

use super::settings::parse_file;
use super::{auth, functions, snapshots, wire};
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
    functions::parse_anything(text);
    auth::parse_anything(text);
}

/// Settings in a file, and URLs of databases.
pub fn parse_any_settings(text: &str) {
    if let Ok(settings) = parse_file(Path::new("any"), text) {
        let _ = settings.into_config();
    }
    // Files that a URL names are not to be read here.
    if !text.contains("ssl") {
        let _ = Target::parse(text);
    }
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
