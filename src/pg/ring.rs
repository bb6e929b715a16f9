//! A ring of variable-length records over a slice of bytes: the log's body. Safe code: whoever
//! calls it holds the lock.

/// Bytes that announce the length of a record.
const HEADER: u64 = 4;

/// Where a ring begins and ends. Positions count bytes since the ring was last cleared and never
/// wrap; a byte's place is its position modulo the capacity.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    /// The position of the oldest record.
    pub(crate) head: u64,
    /// The position behind the newest record.
    pub(crate) tail: u64,
}

/// A ring: its span and its bytes.
pub(crate) struct Ring<'a> {
    span: &'a mut Span,
    bytes: &'a mut [u8],
}

/// There is no room for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Span {
    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.tail - self.head
    }
}

impl<'a> Ring<'a> {
    pub(crate) fn new(span: &'a mut Span, bytes: &'a mut [u8]) -> Self {
        let ring = Ring { span, bytes };
        assert!(ring.span.head <= ring.span.tail && ring.span.used() <= ring.capacity());
        ring
    }

    fn capacity(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Appends a record and returns the position behind it.
    pub(crate) fn push(&mut self, record: &[u8]) -> Result<u64, Full> {
        self.push_within(record, self.capacity())
    }

    /// As [`push`](Self::push), but only if no more than `limit` bytes are in use afterwards.
    pub(crate) fn push_within(&mut self, record: &[u8], limit: u64) -> Result<u64, Full> {
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
    pub(crate) fn pop(&mut self) -> Option<(u64, Vec<u8>)> {
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

    /// The newest records that fit into `limit` bytes are kept; returns whether any was dropped.
    pub(crate) fn make_room(&mut self, needed: u64) -> bool {
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
