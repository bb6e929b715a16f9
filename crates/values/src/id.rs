//! Document ids: the number of the table and 16 bytes that are unique in it, with a checksum.
//!
//! The bytes are the table number as an unsigned LEB128 varint, the 16 inner bytes and a Fletcher-16
//! checksum of both, little-endian. The text is their base32 in Crockford's lower-case alphabet,
//! most significant bits first, without padding. The alphabet ascends in ASCII, so ids of one table
//! sort by their inner bytes.

use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const INTERNAL_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 2;
const MAX_VARINT_BYTES: usize = 5;
const MAX_ID_BYTES: usize = MAX_VARINT_BYTES + INTERNAL_BYTES + CHECKSUM_BYTES;
/// The length of the shortest id (table numbers up to 127), in characters.
pub const MIN_ID_LENGTH: usize = 31;
/// The length of the longest id, in characters.
pub const MAX_ID_LENGTH: usize = 37;

/// The years 2020 to 2099: ids that hold another time were not made by [`DocumentId::new`].
const CREDIBLE_UNIX_MS: std::ops::Range<u64> = 1_577_836_800_000..4_102_444_800_000;

/// The identity of a document: which table, and which document of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The number of the table, at least 1.
    pub table: u32,
    /// What tells the documents of the table apart; for new ids big-endian time, then randomness.
    pub internal: [u8; INTERNAL_BYTES],
}

/// Why a string is not the id of a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Too short or too long.
    #[error(
        "Unable to decode ID: Invalid ID length {0}. Pass the `_id` of a document, \
         {MIN_ID_LENGTH} to {MAX_ID_LENGTH} characters."
    )]
    Length(usize),
    /// A character outside of the alphabet.
    #[error(
        "Unable to decode ID: Invalid character '{0}'. Pass the `_id` of a document unchanged."
    )]
    Character(char),
    /// The right characters, but not what an id decodes from.
    #[error("Unable to decode ID: Invalid table number. Pass the `_id` of a document unchanged.")]
    Table,
    /// The checksum or the padding does not match.
    #[error("Unable to decode ID: Invalid checksum. Pass the `_id` of a document unchanged.")]
    Checksum,
}

impl DocumentId {
    /// An id for a new document.
    ///
    /// `unix_ms` is the time in milliseconds (its low 48 bits count), so that ids grow with time;
    /// `random` must come from a good generator: it is what keeps ids apart.
    pub fn new(table: u32, unix_ms: u64, random: [u8; 10]) -> DocumentId {
        debug_assert!(table >= 1, "table numbers begin at 1");
        let mut internal = [0; INTERNAL_BYTES];
        internal[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
        internal[6..].copy_from_slice(&random);
        DocumentId { table, internal }
    }

    /// When the document was made, in milliseconds since 1970, as [`DocumentId::new`] wrote it.
    /// `None` outside of the years 2020 to 2100: then another system made the id, of random bytes.
    pub fn unix_ms(&self) -> Option<u64> {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&self.internal[..6]);
        let unix_ms = u64::from_be_bytes(bytes);
        CREDIBLE_UNIX_MS.contains(&unix_ms).then_some(unix_ms)
    }

    /// The text of the id, 31 to 37 characters.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(MAX_ID_BYTES);
        let mut rest = self.table;
        while rest >= 0x80 {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes.extend_from_slice(&self.internal);
        let checksum = fletcher16(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        to_base32(&bytes)
    }

    /// Reads the text of an id. Only what [`DocumentId::encode`] writes is accepted.
    ///
    /// # Errors
    /// If `text` has another length, foreign characters, or a checksum that does not match.
    pub fn parse(text: &str) -> Result<DocumentId, IdError> {
        if !(MIN_ID_LENGTH..=MAX_ID_LENGTH).contains(&text.len()) {
            return Err(IdError::Length(text.chars().count()));
        }
        let mut buffer = [0; MAX_ID_BYTES];
        let (count, rest) = from_base32(text, &mut buffer)?;
        let bytes = &buffer[..count];
        let (table, varint) = parse_varint(bytes).ok_or(IdError::Table)?;
        let (internal, checksum) = bytes[varint..]
            .split_at_checked(INTERNAL_BYTES)
            .ok_or(IdError::Length(text.len()))?;
        if checksum != fletcher16(&bytes[..varint + INTERNAL_BYTES]).to_le_bytes() {
            return Err(IdError::Checksum);
        }
        // One text for one id: bits that the encoding does not need are zero, and no more of them
        // than it has to add.
        if rest != 0 || text.len() != (count * 8).div_ceil(5) {
            return Err(IdError::Checksum);
        }
        let internal = internal
            .try_into()
            .map_err(|_| IdError::Length(text.len()))?;
        Ok(DocumentId { table, internal })
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encode())
    }
}

impl FromStr for DocumentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<DocumentId, IdError> {
        DocumentId::parse(text)
    }
}

/// The table number at the start of `bytes` and the length of its varint; `None` if it is zero,
/// does not fit 32 bits or is longer than needed.
fn parse_varint(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut number = 0u64;
    for (position, byte) in bytes.iter().enumerate().take(MAX_VARINT_BYTES) {
        number |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            let minimal = *byte != 0 || position == 0;
            let number = u32::try_from(number).ok().filter(|n| *n > 0 && minimal)?;
            return Some((number, position + 1));
        }
    }
    None
}

/// Fletcher's checksum of 16 bits, the sum of sums in the high byte (J. Fletcher, "An Arithmetic
/// Checksum for Serial Transmissions", 1982). The sums are modulo 256, not the more usual 255: so
/// are those of ids in the wild.
fn fletcher16(bytes: &[u8]) -> u16 {
    let (mut sum, mut sum_of_sums) = (0u8, 0u8);
    for byte in bytes {
        sum = sum.wrapping_add(*byte);
        sum_of_sums = sum_of_sums.wrapping_add(sum);
    }
    u16::from_le_bytes([sum, sum_of_sums])
}

fn to_base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(MAX_ID_LENGTH);
    let (mut pending, mut bits) = (0u32, 0u32);
    for byte in bytes {
        pending = (pending << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(pending >> bits) as usize & 31]));
        }
        pending &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(pending << (5 - bits)) as usize & 31]));
    }
    text
}

/// The value of each byte as a digit of base32; [`NO_DIGIT`] for those outside of the alphabet.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};
const NO_DIGIT: u8 = u8::MAX;

/// Writes the whole bytes that `text` encodes; returns their number and the bits left over.
fn from_base32(text: &str, bytes: &mut [u8; MAX_ID_BYTES]) -> Result<(usize, u32), IdError> {
    let (mut pending, mut bits, mut count) = (0u32, 0u32, 0);
    for (position, byte) in text.bytes().enumerate() {
        let digit = DIGITS[usize::from(byte)];
        if digit == NO_DIGIT {
            let character = text.get(position..).and_then(|rest| rest.chars().next());
            return Err(IdError::Character(
                character.unwrap_or(char::REPLACEMENT_CHARACTER),
            ));
        }
        pending = (pending << 5) | u32::from(digit);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes[count] = (pending >> bits) as u8;
            count += 1;
            pending &= (1 << bits) - 1;
        }
    }
    Ok((count, pending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_fletchers() {
        assert_eq!(fletcher16(&[]), 0);
        assert_eq!(fletcher16(&[1, 2]), 0x0403);
        assert_eq!(fletcher16(&[255, 1]), 0xff00);
    }

    #[test]
    fn ids_of_existing_deployments_are_understood() {
        // Published in a bug report of the `convex` package.
        let text = "j57cbywe1te7fvzf26g0x3ftsd7vagd2";
        let id = DocumentId::parse(text).unwrap();
        assert!(id.table > 10_000, "{}", id.table);
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn the_form_is_frozen() {
        let id = DocumentId::new(10_001, 1_700_000_000_000, *b"0123456789");
        assert_eq!(id.encode(), "j57032yfwnm00c1h68sk8d9p6ww3k52x");
        let lengths = [
            (1, 31),
            (127, 31),
            (128, 32),
            (16_383, 32),
            (16_384, 34),
            (u32::MAX, 37),
        ];
        for (table, length) in lengths {
            let text = DocumentId {
                table,
                internal: [255; 16],
            }
            .encode();
            assert_eq!(text.len(), length, "table {table}");
            assert_eq!(DocumentId::parse(&text).unwrap().table, table);
        }
    }

    #[test]
    fn ids_grow_with_time() {
        let early = DocumentId::new(10_001, 1_700_000_000_000, [255; 10]).encode();
        let late = DocumentId::new(10_001, 1_700_000_000_001, [0; 10]).encode();
        assert!(early < late);
        let time = |text: &str| DocumentId::parse(text).unwrap().unix_ms();
        assert_eq!(time(&early), Some(1_700_000_000_000));
        assert_eq!(time("j57cbywe1te7fvzf26g0x3ftsd7vagd2"), None);
    }

    #[test]
    fn other_strings_are_not_ids() {
        let good = DocumentId::new(10_001, 5, [7; 10]).encode();
        assert_eq!(DocumentId::parse(""), Err(IdError::Length(0)));
        assert_eq!(DocumentId::parse("users"), Err(IdError::Length(5)));
        assert_eq!(
            DocumentId::parse(&good.replace('j', "u")),
            Err(IdError::Character('u'))
        );
        assert!(DocumentId::parse(&good.to_uppercase()).is_err());
        assert_eq!(DocumentId::parse(&"0".repeat(31)), Err(IdError::Table));
        assert!(DocumentId::parse(&format!("{good}0")).is_err());
        assert!(DocumentId::parse(&"é".repeat(16)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn round_trip(table in 1u32.., internal in any::<[u8; 16]>()) {
            let id = DocumentId { table, internal };
            prop_assert_eq!(DocumentId::parse(&id.encode()), Ok(id));
        }

        #[test]
        fn text_sorts_like_the_bytes(left in any::<[u8; 16]>(), right in any::<[u8; 16]>()) {
            let text = |internal| DocumentId { table: 10_001, internal }.encode();
            prop_assert_eq!(text(left).cmp(&text(right)), left.cmp(&right));
        }

        #[test]
        fn a_changed_character_is_noticed(
            internal in any::<[u8; 16]>(), position in 0usize..32, digit in 0usize..32,
        ) {
            let text = DocumentId { table: 10_001, internal }.encode();
            let mut changed = text.clone().into_bytes();
            changed[position] = ALPHABET[digit];
            let changed = String::from_utf8(changed).unwrap();
            prop_assert_eq!(DocumentId::parse(&changed).is_ok(), changed == text);
        }
    }
}
