//! Results that many sessions may be given.

use std::ops::Deref;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{Failure, Position};

/// Hash of everything of a result that a client can see, but for its journal.
pub(crate) type Fingerprint = [u8; 32];

/// Result of one execution of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryResult {
    /// Encoded JSON value, or the error.
    pub outcome: Result<String, Failure>,
    /// `console` output.
    pub log_lines: Vec<String>,
    /// Bounds of pages. `None` of an error: those of the result before stay.
    pub journal: Option<String>,
    /// The position behind the registration, in the boot of the run's moment: invalidations will
    /// come. `None`: they will not, and the query is run again soon.
    pub registered: Option<Position>,
    /// Why the query can never be live: then it is shown and not run again for its own sake.
    pub not_live: Option<String>,
}

/// A result with what identifies it. All sessions that show it hold the same one, so that it is kept and hashed
/// once (R15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(Arc<Identified>);

#[derive(Debug, PartialEq, Eq)]
struct Identified {
    result: QueryResult,
    fingerprint: Fingerprint,
}

impl Answer {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }
}

impl From<QueryResult> for Answer {
    fn from(result: QueryResult) -> Self {
        let fingerprint = fingerprint(&result);
        Self(Arc::new(Identified {
            result,
            fingerprint,
        }))
    }
}

impl Deref for Answer {
    type Target = QueryResult;

    fn deref(&self) -> &QueryResult {
        &self.0.result
    }
}

/// R15: results with the same fingerprint are identical to the client.
fn fingerprint(result: &QueryResult) -> Fingerprint {
    fn part(hash: &mut Sha256, text: &str) {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    let mut hash = Sha256::new();
    hash.update([u8::from(result.outcome.is_ok())]);
    match &result.outcome {
        Ok(value) => part(&mut hash, value),
        Err(failure) => {
            part(&mut hash, &failure.message);
            hash.update([u8::from(failure.data.is_some())]);
            part(&mut hash, failure.data.as_deref().unwrap_or(""));
        }
    }
    hash.update(result.log_lines.len().to_le_bytes());
    result
        .log_lines
        .iter()
        .for_each(|line| part(&mut hash, line));
    hash.finalize().into()
}
