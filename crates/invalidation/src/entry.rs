//! The log's entries and their bytes.

use pg_live_readset::{ReadSet, RelId, WriteSet};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Snapshot, Xid};

/// A position in the log: ascending within a boot.
pub type Position = u64;

/// A place in the WAL.
pub type Lsn = u64;

/// One attachment of a relay. An owner that is gone never comes back: a relay that attaches anew
/// does so under another number.
pub type Owner = i64;

/// A live query of an owner.
pub type Sub = i64;

/// Which run of the query is meant; each run of a sub has a greater one.
pub type Generation = i64;

/// A result that wants to hear when it may have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Who is told.
    pub owner: Owner,
    /// The query.
    pub sub: Sub,
    /// The run of the query. A newer one takes the place of an older one.
    pub generation: Generation,
    /// The boot that was read after the snapshot was taken (R2).
    pub boot: u64,
    /// The snapshot at which the result was computed.
    pub snapshot: Snapshot,
    /// What the result depends on.
    pub read_set: ReadSet,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogEntry {
    /// A transaction is about to commit or to be prepared (R1).
    Write {
        /// Its top-level id.
        xid: Xid,
        /// What it wrote, or part of that.
        set: WriteSet,
    },
    /// A result was computed (R6).
    Register(Registration),
    /// Whose results would a write touch? Told to `owner` as invalidations: the owner of each in the place of the
    /// generation, and sub 0 at the end.
    Preview {
        /// Who asks; it has no subs of its own.
        owner: Owner,
        /// The write.
        set: WriteSet,
    },
    /// A sub is no longer wanted.
    Unregister {
        /// Whose.
        owner: Owner,
        /// Which.
        sub: Sub,
        /// This generation and older ones.
        generation: Generation,
    },
    /// All subs of the owner are no longer wanted (R8).
    OwnerGone {
        /// Who.
        owner: Owner,
    },
    /// A transaction is about to commit or to be prepared, and what it wrote in these relations is in
    /// the WAL (R1).
    InWal {
        /// Its top-level id.
        xid: Xid,
        /// The relations.
        rels: Vec<RelId>,
        /// Its commit record will not begin before this.
        lsn: Lsn,
    },
    /// The decoder has come to the commit of a transaction. In the order of the commits.
    Decoded {
        /// Its top-level id.
        xid: Xid,
        /// The end of the commit's record.
        lsn: Lsn,
        /// All that it wrote in relations whose rows are in the WAL.
        set: WriteSet,
    },
    /// The decoder has handed over whatever committed before this place.
    DecodedTo {
        /// The place.
        lsn: Lsn,
    },
    /// A decoder hands over all that commits from this place on, until it is gone.
    DecoderReady {
        /// The number of the decoder; each has another one.
        run: u64,
        /// The place.
        lsn: Lsn,
    },
}

/// Bytes that are not an entry, or an entry that could not be turned into bytes.
///
/// A reader that meets one in the log has a gap (R3) and must begin a new boot; a writer widens.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The first byte is not that of this format.
    #[error(
        "the bytes have format {found:?}, expected {expected}; they were written by another version"
    )]
    Format {
        /// The byte found, if there was any.
        found: Option<u8>,
        /// The byte of this version.
        expected: u8,
    },
    /// The rest is not an entry.
    #[error("the bytes cannot be decoded or encoded: {0}")]
    Postcard(#[from] postcard::Error),
    /// Bytes are left over.
    #[error("{0} bytes are left over")]
    Trailing(usize),
    /// A snapshot whose parts contradict each other.
    #[error("a snapshot's running transactions are not in order")]
    Snapshot,
}

/// The first byte of each encoded entry; changes with the format.
const FORMAT: u8 = 2;

impl LogEntry {
    /// The entry's bytes.
    ///
    /// # Errors
    /// None is known; the encoder's signature allows for one.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        encode_as(FORMAT, self)
    }

    /// The entry that the bytes hold. Safe for any bytes.
    ///
    /// # Errors
    /// [`CodecError`] if they do not hold exactly one entry.
    pub fn decode(bytes: &[u8]) -> Result<LogEntry, CodecError> {
        let entry: LogEntry = decode_as(FORMAT, bytes)?;
        match &entry {
            LogEntry::Register(registration) if !registration.snapshot.is_well_formed() => {
                Err(CodecError::Snapshot)
            }
            LogEntry::Register(_)
            | LogEntry::Write { .. }
            | LogEntry::Preview { .. }
            | LogEntry::Unregister { .. }
            | LogEntry::OwnerGone { .. }
            | LogEntry::InWal { .. }
            | LogEntry::Decoded { .. }
            | LogEntry::DecodedTo { .. }
            | LogEntry::DecoderReady { .. } => Ok(entry),
        }
    }
}

/// A value's bytes behind the byte of its format.
pub(crate) fn encode_as(format: u8, value: &impl Serialize) -> Result<Vec<u8>, CodecError> {
    Ok(postcard::to_extend(value, vec![format])?)
}

/// The one value that the bytes hold in this format.
pub(crate) fn decode_as<T: DeserializeOwned>(format: u8, bytes: &[u8]) -> Result<T, CodecError> {
    let body = match bytes.split_first() {
        Some((first, body)) if *first == format => body,
        other => {
            let found = other.map(|(first, _)| *first);
            return Err(CodecError::Format {
                found,
                expected: format,
            });
        }
    };
    let (value, rest) = postcard::take_from_bytes(body)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(CodecError::Trailing(rest.len()))
    }
}
