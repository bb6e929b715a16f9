//! The order of numerics in bytes.

/// What a key begins with.
const MINUS_INFINITY: u8 = 0;
const NEGATIVE: u8 = 1;
const ZERO: u8 = 2;
const POSITIVE: u8 = 3;
const INFINITY: u8 = 4;
const NAN: u8 = 5;

/// Ends the digits of a negative number: beyond all complements of digits.
const END_OF_NEGATIVE: u8 = u8::MAX;

/// The key of a numeric as its output function writes it: `-12.50`, `NaN`, `-Infinity`. Trailing zeros of the
/// fraction do not count. The value is 0.d1d2d3... * 10^exponent with d1 not 0; the key is the sign, the exponent
/// and the digits, the latter two as complements if it is negative.
pub(crate) fn key(text: &str) -> Option<Vec<u8>> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    match (magnitude, negative) {
        ("NaN", false) => return Some(vec![NAN]),
        ("Infinity", false) => return Some(vec![INFINITY]),
        ("Infinity", true) => return Some(vec![MINUS_INFINITY]),
        _ => {}
    }
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let all = || whole.bytes().chain(fraction.bytes());
    if all().next().is_none() || !all().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let leading = all().take_while(|digit| *digit == b'0').count();
    let mut digits: Vec<u8> = all().skip(leading).collect();
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    if digits.is_empty() {
        return Some(vec![ZERO]);
    }
    let exponent = i32::try_from(whole.len()).ok()? - i32::try_from(leading).ok()?;
    let exponent = exponent.cast_unsigned() ^ (1 << 31);
    let mut key = Vec::with_capacity(6 + digits.len());
    if negative {
        key.push(NEGATIVE);
        key.extend((!exponent).to_be_bytes());
        key.extend(digits.iter().map(|digit| !digit));
        key.push(END_OF_NEGATIVE);
    } else {
        key.push(POSITIVE);
        key.extend(exponent.to_be_bytes());
        key.extend(digits);
    }
    Some(key)
}
