//! Column values as keys that read-sets and write-sets compare: the closed table of the types for which that is
//! possible. Everything else has no key, and is not narrowed.

use pg_live_readset::{ColumnKey, ColumnValue};
use pgrx::pg_sys;

use super::datum::read;

/// How values of a column are stored and compared, as far as keys are known for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// bool
    Bool,
    /// int2
    Int2,
    /// int4
    Int4,
    /// int8
    Int8,
    /// oid
    Oid,
    /// Every enum.
    Enum,
    /// float4
    Float4,
    /// float8
    Float8,
    /// date
    Date,
    /// time without time zone
    Time,
    /// timestamp without time zone
    Timestamp,
    /// timestamp with time zone
    Timestamptz,
    /// uuid
    Uuid,
    /// text and varchar
    Text,
    /// bytea
    Bytea,
    /// char(n)
    Bpchar,
    /// numeric
    Numeric,
}

/// Each kind with the type for which its operators are declared, and the family of its default btree operator class.
const KINDS: [(Kind, pg_sys::Oid, u32); 17] = [
    (Kind::Bool, pg_sys::BOOLOID, 424),
    (Kind::Int2, pg_sys::INT2OID, 1976),
    (Kind::Int4, pg_sys::INT4OID, 1976),
    (Kind::Int8, pg_sys::INT8OID, 1976),
    (Kind::Oid, pg_sys::OIDOID, 1989),
    (Kind::Enum, pg_sys::ANYENUMOID, 3522),
    (Kind::Float4, pg_sys::FLOAT4OID, 1970),
    (Kind::Float8, pg_sys::FLOAT8OID, 1970),
    (Kind::Date, pg_sys::DATEOID, 434),
    (Kind::Time, pg_sys::TIMEOID, 1996),
    (Kind::Timestamp, pg_sys::TIMESTAMPOID, 434),
    (Kind::Timestamptz, pg_sys::TIMESTAMPTZOID, 434),
    (Kind::Uuid, pg_sys::UUIDOID, 2968),
    (Kind::Text, pg_sys::TEXTOID, 1994),
    (Kind::Bytea, pg_sys::BYTEAOID, 428),
    (Kind::Bpchar, pg_sys::BPCHAROID, 426),
    (Kind::Numeric, pg_sys::NUMERICOID, 1988),
];

impl Kind {
    /// Of a column's or a constant's type; domains are like what they are made of.
    pub(crate) fn of_type(of: pg_sys::Oid) -> Option<Kind> {
        if of == pg_sys::VARCHAROID {
            return Some(Kind::Text);
        }
        if let Some(kind) = Kind::of_operand(of) {
            return Some(kind);
        }
        // SAFETY: catalog lookups in a transaction.
        let (base, is_enum) = unsafe {
            let base = pg_sys::getBaseType(of);
            (base, pg_sys::get_typtype(base).cast_unsigned() == b'e')
        };
        match base {
            _ if is_enum => Some(Kind::Enum),
            pg_sys::VARCHAROID => Some(Kind::Text),
            _ => Kind::of_operand(base),
        }
    }

    /// Of the type for which an operator is declared.
    pub(crate) fn of_operand(of: pg_sys::Oid) -> Option<Kind> {
        let mut kinds = KINDS.iter();
        kinds.find(|(_, own, _)| *own == of).map(|(kind, ..)| *kind)
    }

    /// All that are known.
    pub(crate) fn all() -> impl Iterator<Item = Kind> {
        KINDS.iter().map(|(kind, ..)| *kind)
    }

    /// The family of operators that compare it.
    pub(crate) fn family(self) -> pg_sys::Oid {
        let mut kinds = KINDS.iter();
        let known = kinds.find(|(kind, ..)| *kind == self);
        known.map_or(pg_sys::InvalidOid, |(_, _, family)| {
            pg_sys::Oid::from(*family)
        })
    }

    /// Whether values of both have keys that compare as their values do.
    pub(crate) fn compares_with(self, other: Kind) -> bool {
        let is_int = |kind| matches!(kind, Kind::Int2 | Kind::Int4 | Kind::Int8);
        let is_float = |kind| matches!(kind, Kind::Float4 | Kind::Float8);
        self == other || (is_int(self) && is_int(other)) || (is_float(self) && is_float(other))
    }

    /// Whether its equality and order are a collation's affair.
    pub(crate) fn has_collation(self) -> bool {
        matches!(self, Kind::Text | Kind::Bpchar)
    }

    /// The key of a value that is not NULL and of a type of this kind.
    pub(crate) fn key(self, datum: pg_sys::Datum) -> Option<ColumnKey> {
        match self {
            Kind::Bool => ColumnKey::of(ColumnValue::Bool(read(datum)?)),
            Kind::Int2 => ColumnKey::of(ColumnValue::Int(read::<i16>(datum)?.into())),
            Kind::Int4 => ColumnKey::of(ColumnValue::Int(read::<i32>(datum)?.into())),
            Kind::Int8 => ColumnKey::of(ColumnValue::Int(read(datum)?)),
            Kind::Oid | Kind::Enum => {
                let oid: pg_sys::Oid = read(datum)?;
                ColumnKey::of(ColumnValue::Oid(oid.to_u32()))
            }
            Kind::Float4 => ColumnKey::of(ColumnValue::Float(read::<f32>(datum)?.into())),
            Kind::Float8 => ColumnKey::of(ColumnValue::Float(read(datum)?)),
            // They are stored as the numbers that they count.
            Kind::Date => ColumnKey::of(ColumnValue::Date(read::<i32>(datum)?)),
            Kind::Time | Kind::Timestamp | Kind::Timestamptz => {
                ColumnKey::of(ColumnValue::Time(read::<i64>(datum)?))
            }
            Kind::Uuid => {
                let uuid: pgrx::Uuid = read(datum)?;
                ColumnKey::of(ColumnValue::Uuid(*uuid.as_bytes()))
            }
            Kind::Text | Kind::Bytea => {
                with_bytes(datum, |bytes| ColumnKey::of(ColumnValue::Bytes(bytes)))
            }
            Kind::Bpchar => with_bytes(datum, |bytes| ColumnKey::of(ColumnValue::Padded(bytes))),
            Kind::Numeric => {
                let number: pgrx::AnyNumeric = read(datum)?;
                ColumnKey::of(ColumnValue::Numeric(&number.to_string()))
            }
        }
    }
}

/// The bytes of a text that its key has; see `pg_live_readset`.
const TEXT_BYTES: usize = 128;

/// A value of a type by its key, as SQL writes it. `None` if the key does not tell, or is none of the type.
pub(crate) fn value_of_key(of: pg_sys::Oid, key: &[u8]) -> Option<String> {
    let kind = Kind::of_type(of)?;
    // The first byte says that there is a value.
    let value = key.get(1..)?;
    let long = || Some(u64::from_be_bytes(value.get(..8)?.try_into().ok()?) ^ (1 << 63));
    let short = || Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?));
    match kind {
        Kind::Bool => Some((*value.first()? != 0).to_string()),
        Kind::Int2 | Kind::Int4 | Kind::Int8 => Some(long()?.cast_signed().to_string()),
        Kind::Oid => Some(short()?.to_string()),
        Kind::Enum => quoted_output(of, pg_sys::Datum::from(short()?)),
        Kind::Date => {
            let days = (short()? ^ (1 << 31)).cast_signed();
            quoted_output(of, pg_sys::Datum::from(days))
        }
        Kind::Time | Kind::Timestamp | Kind::Timestamptz => {
            quoted_output(of, pg_sys::Datum::from(long()?.cast_signed()))
        }
        Kind::Uuid => {
            let uuid = pgrx::Uuid::from_bytes(value.get(..16)?.try_into().ok()?);
            Some(format!("'{uuid}'"))
        }
        Kind::Text | Kind::Bpchar => {
            let text = String::from_utf8_lossy(&value[..value.len().min(TEXT_BYTES)]);
            let text = text.trim_end_matches('\0').replace('\'', "''");
            let more = if value.len() > TEXT_BYTES { "..." } else { "" };
            Some(format!("'{text}{more}'"))
        }
        Kind::Float4 | Kind::Float8 => {
            let bits = long()?;
            // Those of negative numbers are turned over.
            let is_negative = bits >> 63 == 1;
            let bits = if is_negative {
                !(bits ^ (1 << 63))
            } else {
                bits
            };
            Some(f64::from_bits(bits).to_string())
        }
        Kind::Bytea | Kind::Numeric => None,
    }
}

/// What the output function of a type makes of a value that is passed as it is.
fn quoted_output(of: pg_sys::Oid, value: pg_sys::Datum) -> Option<String> {
    let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
    // SAFETY: the caller knows the value to be of the type; the function gives a string that is copied.
    let text = unsafe {
        pg_sys::getTypeOutputInfo(of, &raw mut function, &raw mut is_varlena);
        std::ffi::CStr::from_ptr(pg_sys::OidOutputFunctionCall(function, value)).to_owned()
    };
    Some(format!("'{}'", text.to_string_lossy()))
}

/// The key of NULL, in a column of any kind.
pub(crate) fn null_key() -> Option<ColumnKey> {
    ColumnKey::of(ColumnValue::Null)
}

/// The bytes of a value of variable length, as they are when nothing is compressed or stored elsewhere.
pub(crate) fn with_bytes<T>(datum: pg_sys::Datum, body: impl FnOnce(&[u8]) -> T) -> T {
    // SAFETY: the callers know the value to be of variable length; a copy is freed when it was looked at.
    unsafe {
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        let plain = pg_sys::pg_detoast_datum_packed(stored);
        let bytes = pgrx::vardata_any(plain).cast::<u8>();
        let length = pgrx::varsize_any_exhdr(plain);
        let result = body(std::slice::from_raw_parts(bytes, length));
        if plain != stored {
            pg_sys::pfree(plain.cast());
        }
        result
    }
}
