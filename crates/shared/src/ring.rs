//! A ring of variable-length records over a slice of bytes.

/// Bytes that announce the length of a record.
const HEADER: u64 = 4;

/// Where a ring begins and ends. Positions count bytes since the ring was last cleared and never
/// wrap; a byte's place is its position modulo the capacity.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The position of the oldest record.
    pub head: u64,
    /// The position behind the newest record.
    pub tail: u64,
}

/// A ring: its span and its bytes.
#[derive(Debug)]
pub struct Ring<'a> {
    span: &'a mut Span,
    bytes: &'a mut [u8],
}

/// There is no room for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Span {
    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.tail - self.head
    }
}

impl<'a> Ring<'a> {
    /// The ring that was left in this span and these bytes.
    ///
    /// # Panics
    /// If the span does not fit the bytes.
    pub fn new(span: &'a mut Span, bytes: &'a mut [u8]) -> Self {
        let ring = Ring { span, bytes };
        assert!(ring.span.head <= ring.span.tail && ring.span.used() <= ring.capacity());
        ring
    }

    fn capacity(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Appends a record and returns the position behind it.
    ///
    /// # Errors
    /// [`Full`] if there is no room; then nothing has changed.
    pub fn push(&mut self, record: &[u8]) -> Result<u64, Full> {
        self.push_within(record, self.capacity())
    }

    /// As [`push`](Self::push), but only if no more than `limit` bytes are in use afterwards.
    ///
    /// # Errors
    /// [`Full`] if there would be; then nothing has changed.
    pub fn push_within(&mut self, record: &[u8], limit: u64) -> Result<u64, Full> {
        let length = u32::try_from(record.len()).map_err(|_| Full)?;
        let after = self.span.used() + HEADER + u64::from(length);
        if after > limit.min(self.capacity()) {
            return Err(Full);
        }
        self.copy_in(self.span.tail, &length.to_le_bytes());
        self.copy_in(self.span.tail + HEADER, record);
        self.span.tail += HEADER + u64::from(length);
        Ok(self.span.tail)
    }

    /// The oldest record, removed, with the position behind it.
    ///
    /// # Panics
    /// If the bytes are not what [`push`](Self::push) left there.
    pub fn pop(&mut self) -> Option<(u64, Vec<u8>)> {
        if self.span.head == self.span.tail {
            return None;
        }
        let record = self.record_at(self.span.head);
        self.span.head += HEADER + record.len() as u64;
        assert!(
            self.span.head <= self.span.tail,
            "a record ends within the ring"
        );
        Some((self.span.head, record))
    }

    /// Drops the oldest records until one of `needed` bytes fits, or none is left. Returns whether
    /// any was dropped.
    pub fn make_room(&mut self, needed: u64) -> bool {
        let mut dropped = false;
        while self.capacity() - self.span.used() < needed + HEADER && self.pop().is_some() {
            dropped = true;
        }
        dropped
    }

    fn record_at(&self, position: u64) -> Vec<u8> {
        let mut length = [0; HEADER as usize];
        copy_out(self.bytes, position, &mut length);
        let mut record = vec![0; u32::from_le_bytes(length) as usize];
        copy_out(self.bytes, position + HEADER, &mut record);
        record
    }

    fn copy_in(&mut self, position: u64, from: &[u8]) {
        let start = place(self.bytes, position);
        let first = from.len().min(self.bytes.len() - start);
        self.bytes[start..start + first].copy_from_slice(&from[..first]);
        self.bytes[..from.len() - first].copy_from_slice(&from[first..]);
    }
}

/// Calls `visit` with each record of the ring, oldest first.
pub(crate) fn for_each(span: &Span, bytes: &[u8], mut visit: impl FnMut(&[u8])) {
    let mut position = span.head;
    while position < span.tail {
        let mut length = [0; HEADER as usize];
        copy_out(bytes, position, &mut length);
        let mut record = vec![0; u32::from_le_bytes(length) as usize];
        copy_out(bytes, position + HEADER, &mut record);
        position += HEADER + record.len() as u64;
        visit(&record);
    }
}

/// The beginning of the oldest record: its first `length` bytes, if there is a record and it has so many.
pub(crate) fn first(span: &Span, bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    if span.head == span.tail {
        return None;
    }
    let mut whole = [0; HEADER as usize];
    copy_out(bytes, span.head, &mut whole);
    let mut start = vec![0; length];
    copy_out(bytes, span.head + HEADER, &mut start);
    (u32::from_le_bytes(whole) as usize >= length).then_some(start)
}

fn place(bytes: &[u8], position: u64) -> usize {
    // The remainder is smaller than a length that is a usize.
    usize::try_from(position % bytes.len() as u64).unwrap_or(0)
}

fn copy_out(bytes: &[u8], position: u64, to: &mut [u8]) {
    let start = place(bytes, position);
    let first = to.len().min(bytes.len() - start);
    let (head, rest) = to.split_at_mut(first);
    head.copy_from_slice(&bytes[start..start + first]);
    rest.copy_from_slice(&bytes[..rest.len()]);
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(Vec<u8>),
        PushWithin(Vec<u8>, u64),
        Pop,
        MakeRoom(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let record = || vec(any::<u8>(), 0..40);
        prop_oneof![
            4 => record().prop_map(Step::Push),
            1 => (record(), 0u64..80).prop_map(|(record, limit)| Step::PushWithin(record, limit)),
            3 => Just(Step::Pop),
            1 => (0u64..80).prop_map(Step::MakeRoom),
        ]
    }

    /// The ring as a queue of records.
    #[derive(Default)]
    struct Model {
        records: VecDeque<Vec<u8>>,
        head: u64,
    }

    impl Model {
        fn used(&self) -> u64 {
            self.records
                .iter()
                .map(|record| HEADER + record.len() as u64)
                .sum()
        }

        fn push(&mut self, record: &[u8], limit: u64) -> Result<u64, Full> {
            if self.used() + HEADER + record.len() as u64 > limit {
                return Err(Full);
            }
            self.records.push_back(record.to_vec());
            Ok(self.head + self.used())
        }

        fn pop(&mut self) -> Option<(u64, Vec<u8>)> {
            let record = self.records.pop_front()?;
            self.head += HEADER + record.len() as u64;
            Some((self.head, record))
        }
    }

    proptest! {
        #[test]
        fn a_ring_is_a_queue(capacity in 8usize..100, steps in vec(step(), 0..200)) {
            let mut span = Span::default();
            let mut bytes = vec![0xAA; capacity];
            let mut model = Model::default();
            for step in steps {
                let size = capacity as u64;
                let mut ring = Ring::new(&mut span, &mut bytes);
                match step {
                    Step::Push(record) => {
                        prop_assert_eq!(ring.push(&record), model.push(&record, size));
                    }
                    Step::PushWithin(record, limit) => prop_assert_eq!(
                        ring.push_within(&record, limit),
                        model.push(&record, limit.min(size))
                    ),
                    Step::Pop => prop_assert_eq!(ring.pop(), model.pop()),
                    Step::MakeRoom(needed) => {
                        let before = model.records.len();
                        while size - model.used() < needed + HEADER && model.pop().is_some() {}
                        prop_assert_eq!(ring.make_room(needed), model.records.len() < before);
                    }
                }
                prop_assert_eq!(span.used(), model.used());
                let mut seen = Vec::new();
                for_each(&span, &bytes, |record| seen.push(record.to_vec()));
                prop_assert_eq!(seen, Vec::from(model.records.clone()));
            }
        }
    }

    #[test]
    fn a_record_larger_than_the_ring_never_fits() {
        let (mut span, mut bytes) = (Span::default(), vec![0; 16]);
        let mut ring = Ring::new(&mut span, &mut bytes);
        assert_eq!(ring.push(&[0; 13]), Err(Full));
        assert_eq!(ring.push(&[0; 12]), Ok(16));
        assert!(ring.make_room(100));
        assert_eq!(ring.push(&[0; 100]), Err(Full));
    }
}
