//! Keys beside what they belong to.

use std::borrow::Borrow;
use std::fmt;

/// Most keys have no more bytes: numbers, ids, short texts.
const INLINE: usize = 22;

/// The bytes of a key, in place if they are few.
#[derive(Clone)]
pub(crate) enum SmallKey {
    Inline(u8, [u8; INLINE]),
    Heap(Box<[u8]>),
}

impl SmallKey {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            SmallKey::Inline(length, bytes) => &bytes[..usize::from(*length)],
            SmallKey::Heap(bytes) => bytes,
        }
    }

    /// Bytes elsewhere.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            SmallKey::Inline(..) => 0,
            SmallKey::Heap(bytes) => bytes.len(),
        }
    }
}

impl From<&[u8]> for SmallKey {
    fn from(key: &[u8]) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..key.len()), u8::try_from(key.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(key);
                SmallKey::Inline(length, bytes)
            }
            (_, _) => SmallKey::Heap(key.into()),
        }
    }
}

impl Default for SmallKey {
    fn default() -> Self {
        SmallKey::Inline(0, [0; INLINE])
    }
}

impl Borrow<[u8]> for SmallKey {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for SmallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_are_kept() {
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, 255, 256, 300] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8 + 1).collect();
            let key = SmallKey::from(bytes.as_slice());
            assert_eq!(key.as_slice(), bytes);
            assert_eq!(key.heap_bytes() > 0, length > INLINE);
        }
        assert!(size_of::<Option<SmallKey>>() <= 24);
    }
}
