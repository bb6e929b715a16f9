//! Snapshots and read-sets of a standby on their way to the primary, where they are registered.

use pg_live_readset::ReadSet;

use crate::entry::{CodecError, decode_as, encode_as};
use crate::snapshot::Snapshot;

/// First bytes, which tell the two from each other and from entries of the log.
const SNAPSHOT_FORMAT: u8 = 0x51;
const READS_FORMAT: u8 = 0x62;

impl Snapshot {
    /// The snapshot's bytes.
    ///
    /// # Errors
    /// None is known; the encoder's signature allows for one.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        encode_as(SNAPSHOT_FORMAT, self)
    }

    /// The snapshot that the bytes hold. Safe for any bytes.
    ///
    /// # Errors
    /// [`CodecError`] if they do not hold exactly one well-formed snapshot.
    pub fn decode(bytes: &[u8]) -> Result<Snapshot, CodecError> {
        let snapshot: Snapshot = decode_as(SNAPSHOT_FORMAT, bytes)?;
        if snapshot.is_well_formed() {
            Ok(snapshot)
        } else {
            Err(CodecError::Snapshot)
        }
    }
}

/// The bytes of a read-set.
///
/// # Errors
/// None is known; the encoder's signature allows for one.
pub fn encode_reads(reads: &ReadSet) -> Result<Vec<u8>, CodecError> {
    encode_as(READS_FORMAT, reads)
}

/// The read-set that the bytes hold. Safe for any bytes.
///
/// # Errors
/// [`CodecError`] if they do not hold exactly one read-set.
pub fn decode_reads(bytes: &[u8]) -> Result<ReadSet, CodecError> {
    decode_as(READS_FORMAT, bytes)
}
