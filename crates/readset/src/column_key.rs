//! Keys of values in columns of SQL types: bytes whose order is the order of the values.
//!
//! Two values that are equal in Postgres have one key, and of two values the greater one has no smaller key, as the
//! default btree operators of the type compare them (collation C). Each key is short: a long value is *cut*, and then
//! shares its key with others that begin alike. So an equality or a range over keys holds every row that the one
//! over the values holds.

use crate::numeric;

/// First byte, and all, of the key of NULL.
pub(crate) const NULL: u8 = 0;
/// First byte of the key of a value.
pub(crate) const NOT_NULL: u8 = 1;

/// The bytes of a text or bytea that its key holds.
const KEPT_BYTES: usize = 128;

/// A value of a column. Constants that a column is compared with are given in the kind of the column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ColumnValue<'a> {
    /// No value.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int2`, `int4`, `int8`: they compare with one another.
    Int(i64),
    /// `oid`; for enums only equality means something.
    Oid(u32),
    /// `float4` (widened) and `float8`: they compare with one another.
    Float(f64),
    /// `date`: days.
    Date(i32),
    /// `timestamp`, `timestamptz`, `time`: microseconds.
    Time(i64),
    /// `uuid`.
    Uuid([u8; 16]),
    /// `text`, `varchar`, `bytea`. Ranges of texts are meant in collation C; equality in any deterministic one.
    Bytes(&'a [u8]),
    /// `bpchar`: blanks at the end do not count.
    Padded(&'a [u8]),
    /// `numeric`, as its output function writes it.
    Numeric(&'a str),
}

/// The key of a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnKey {
    bytes: Vec<u8>,
    /// Other values have the same key.
    cut: bool,
}

impl ColumnKey {
    /// The value's key. `None` if the text of a numeric is none: nothing is known of the value.
    pub fn of(value: ColumnValue<'_>) -> Option<ColumnKey> {
        Some(match value {
            ColumnValue::Null => ColumnKey {
                bytes: vec![NULL],
                cut: false,
            },
            ColumnValue::Bool(value) => fixed(&[u8::from(value)]),
            ColumnValue::Int(value) | ColumnValue::Time(value) => {
                fixed(&(value.cast_unsigned() ^ (1 << 63)).to_be_bytes())
            }
            ColumnValue::Oid(value) => fixed(&value.to_be_bytes()),
            ColumnValue::Float(value) => fixed(&float(value).to_be_bytes()),
            ColumnValue::Date(value) => fixed(&(value.cast_unsigned() ^ (1 << 31)).to_be_bytes()),
            ColumnValue::Uuid(value) => fixed(&value),
            ColumnValue::Bytes(value) => ColumnKey::of_bytes(value),
            ColumnValue::Padded(value) => {
                let blanks = value.iter().rev().take_while(|byte| **byte == b' ').count();
                ColumnKey::of_bytes(&value[..value.len() - blanks])
            }
            ColumnValue::Numeric(value) => ColumnKey::of_bytes(&numeric::key(value)?),
        })
    }

    /// The key of a text, or of anything else that compares byte by byte, the shorter one first.
    pub(crate) fn of_bytes(value: &[u8]) -> ColumnKey {
        let kept = &value[..value.len().min(KEPT_BYTES)];
        let cut = kept.len() < value.len();
        let mut bytes = Vec::with_capacity(1 + kept.len() + usize::from(cut));
        bytes.push(NOT_NULL);
        bytes.extend_from_slice(kept);
        if cut {
            // Beyond the value that ends here.
            bytes.push(0);
        }
        ColumnKey { bytes, cut }
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key's bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Whether other values have the same key.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }
}

fn fixed(value: &[u8]) -> ColumnKey {
    let mut bytes = Vec::with_capacity(1 + value.len());
    bytes.push(NOT_NULL);
    bytes.extend_from_slice(value);
    ColumnKey { bytes, cut: false }
}

/// Both zeros are equal; every NaN equals every other one and is greater than all numbers.
fn float(value: f64) -> u64 {
    if value.is_nan() {
        return u64::MAX;
    }
    // -0.0 + 0.0 is 0.0.
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | (1 << 63)
    }
}
