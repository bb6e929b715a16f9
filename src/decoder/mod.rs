//! WAL capture: the process that decodes the WAL of one database and hands what was changed over to the
//! worker, through the log (R5). It runs while somebody reads a table whose rows writers leave in the WAL.

mod collector;
mod image;
mod seat;
mod shapes;
mod worker;

use crate::pg::shmem::Slot;

pub(crate) use seat::DecoderSeat;

/// What the decoder does, as it is kept in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It does not run.
    Off,
    /// It waits for the transactions that ran when it was started.
    Starting,
    /// It hands over.
    Decoding,
    /// `wal_level` is not `logical`.
    WalLevel,
    /// It ended with an error; the server's log has it.
    Failed,
}

impl State {
    const ALL: [State; 5] = [
        State::Off,
        State::Starting,
        State::Decoding,
        State::WalLevel,
        State::Failed,
    ];

    /// As it is kept in shared memory.
    pub(crate) fn to_raw(self) -> u32 {
        self as u32
    }

    /// The reverse of [`to_raw`](Self::to_raw).
    pub(crate) fn from_raw(raw: u32) -> State {
        let known = State::ALL.into_iter().find(|state| state.to_raw() == raw);
        known.unwrap_or(State::Failed)
    }

    /// For `live.status()`.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            State::Off => "off: nobody reads a table that is captured from the WAL",
            State::Starting => "starting: waits for transactions that are older than it",
            State::Decoding => "decoding",
            State::WalLevel => "refused: wal_level is not logical; triggers are used",
            State::Failed => "failed: see the server's log; it is started again",
        }
    }
}

/// What `live.status()` says of WAL capture.
pub(crate) fn status(slot: &Slot) -> serde_json::Value {
    let decoder = slot.decoder();
    let decoded = decoder.decoded();
    let lag = match decoder.state() {
        State::Decoding => Some(crate::pg::wal::inserted().saturating_sub(decoded)),
        State::Off | State::Starting | State::WalLevel | State::Failed => None,
    };
    serde_json::json!({
        "state": decoder.state().describe(),
        "pid": decoder.pid(),
        "wanted": decoder.is_wanted(),
        "lag_bytes": lag,
        "lag_ms": decoder.lag_ms(),
    })
}
