//! Keys of indexes in words, for people who look at a read-set.

/// The lower bound of a range: `from "general", 12`; empty for the start of the index.
pub(super) fn describe_lower(key: &[u8]) -> String {
    match read(key) {
        (parts, _) if parts.is_empty() && key.is_empty() => String::new(),
        (parts, true) => format!("from {}", parts.join(", ")),
        (parts, false) => format!("from {} ...", parts.join(", ")),
    }
}

/// The upper bound, exclusive: `up to "general"` includes what begins so, `below 12` does not.
pub(super) fn describe_upper(key: &[u8]) -> String {
    // The end of all keys with a prefix is that prefix with its last byte raised by one.
    let mut prefix = key.to_vec();
    if let Some(last) = prefix.last_mut() {
        *last = last.wrapping_sub(1);
    }
    let told = |word: &str, (parts, whole): (Vec<String>, bool)| {
        let rest = if whole { "" } else { " ..." };
        (!parts.is_empty()).then(|| (whole, format!("{word} {}{rest}", parts.join(", "))))
    };
    let candidates = [told("up to", read(&prefix)), told("below", read(key))];
    // Of two readings of a number the plain one was meant: 12.5, not 12.500000000000002.
    candidates
        .into_iter()
        .flatten()
        .min_by_key(|(whole, text)| (!whole, text.len()))
        .map_or_else(|| "up to a bound".to_owned(), |(_, text)| text)
}

/// The whole components at the start of a key, and whether there is nothing else.
fn read(mut key: &[u8]) -> (Vec<String>, bool) {
    let mut parts = Vec::new();
    while !key.is_empty() {
        let Some((value, rest)) = read_component(key) else {
            return (parts, false);
        };
        parts.push(value);
        key = rest;
    }
    (parts, true)
}

/// The value that a key begins with, and what follows it; `None` for arrays, objects and what was cut.
fn read_component(key: &[u8]) -> Option<(String, &[u8])> {
    let (tag, rest) = key.split_first()?;
    let bits = || Some((u64::from_be_bytes(*rest.first_chunk::<8>()?), &rest[8..]));
    match tag {
        0x10 => Some(("undefined".to_owned(), rest)),
        0x18 => Some(("null".to_owned(), rest)),
        0x20 => bits().map(|(bits, rest)| (format!("{}n", (bits ^ SIGN).cast_signed()), rest)),
        0x28 => bits().map(|(bits, rest)| {
            let bits = if bits & SIGN == 0 { !bits } else { bits ^ SIGN };
            (f64::from_bits(bits).to_string(), rest)
        }),
        0x30 => Some(("false".to_owned(), rest)),
        0x31 => Some(("true".to_owned(), rest)),
        0x38 => read_escaped(rest)
            .map(|(bytes, rest)| (format!("{:?}", String::from_utf8_lossy(&bytes)), rest)),
        0x40 => read_escaped(rest).map(|(bytes, rest)| (format!("{} bytes", bytes.len()), rest)),
        _ => None,
    }
}

/// Bytes up to `00 00`, with `00 FF` as `00`.
fn read_escaped(key: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut bytes, mut at) = (Vec::new(), 0);
    loop {
        match (key.get(at)?, key.get(at + 1)) {
            (0, Some(0)) => return Some((bytes, &key[at + 2..])),
            (0, Some(0xff)) => {
                bytes.push(0);
                at += 2;
            }
            (0, _) => return None,
            (byte, _) => {
                bytes.push(*byte);
                at += 1;
            }
        }
    }
}

const SIGN: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;
    use pg_live_values::Value;
    use pg_live_values::key::{encode_key, prefix_end};

    #[test]
    fn bounds_are_told_by_their_values() {
        let text = Value::String("general".into());
        let key = encode_key([Some(&text), Some(&Value::Float64(12.5))]);
        assert_eq!(describe_lower(&key), "from \"general\", 12.5");
        let prefix = encode_key([Some(&text)]);
        assert_eq!(
            describe_upper(&prefix_end(&prefix).unwrap()),
            "up to \"general\""
        );
        assert_eq!(describe_lower(&[]), "");
        let many = [Value::Int64(-3), Value::Null, Value::Boolean(true)];
        let key = encode_key(many.iter().map(Some).chain([None]));
        assert_eq!(describe_lower(&key), "from -3n, null, true, undefined");
    }

    #[test]
    fn a_bound_of_a_number_is_that_number() {
        let key = encode_key([Some(&Value::Float64(12.5))]);
        assert_eq!(describe_upper(&key), "below 12.5");
        assert_eq!(describe_upper(&prefix_end(&key).unwrap()), "up to 12.5");
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let key = encode_key([Some(&Value::Float64(1.0))]);
        assert_eq!(describe_lower(&key[..5]), "from  ...");
        assert_eq!(describe_upper(&[0x48]), "up to a bound");
    }
}
