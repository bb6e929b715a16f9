//! What an error of Postgres means for the one who called.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// What to do about a failed statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The transaction lost against another one: try it again.
    Conflict,
    /// The connection is gone, or the server is starting or stopping: try it on another one.
    Lost,
    /// The same would happen again.
    Final,
}

/// Judges an error by its SQLSTATE; an error without one is one of the connection.
pub(crate) fn judge(error: &Error) -> Verdict {
    let Some(state) = error.code() else {
        return Verdict::Lost;
    };
    if is_conflict(state) {
        return Verdict::Conflict;
    }
    let is_fatal = error
        .as_db_error()
        .is_some_and(|e| matches!(e.severity(), "FATAL" | "PANIC"));
    if is_fatal || is_unavailable(state) {
        Verdict::Lost
    } else {
        Verdict::Final
    }
}

/// Whether the connection can be used again after a ROLLBACK. Not when it is lost, when its prepared
/// statements may be stale (the extension was updated), or when the server is short of something.
pub(crate) fn is_reusable_after(error: &Error) -> bool {
    let stale = |class| matches!(class, "0A" | "26" | "53" | "58" | "XX");
    judge(error) != Verdict::Lost
        && error
            .code()
            .and_then(|state| state.code().get(..2))
            .is_some_and(|class| !stale(class))
}

/// Serialization failure, deadlock, and a unique violation, which is how a lost race for the stored
/// outcome of a mutation shows (R14).
fn is_conflict(state: &SqlState) -> bool {
    [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::UNIQUE_VIOLATION,
    ]
    .contains(state)
}

fn is_unavailable(state: &SqlState) -> bool {
    state.code().starts_with("08")
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
        ]
        .contains(state)
}

/// The error in one line for the log and for developers: message, SQLSTATE, detail, hint.
pub(crate) fn describe(error: &Error) -> String {
    let Some(db) = error.as_db_error() else {
        let cause = std::error::Error::source(error);
        return cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    };
    let mut text = format!("{} (SQLSTATE {})", db.message(), db.code().code());
    for part in [db.detail(), db.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart() {
        assert!(is_conflict(&SqlState::from_code("40001")));
        assert!(is_conflict(&SqlState::from_code("40P01")));
        assert!(is_conflict(&SqlState::from_code("23505")));
        assert!(!is_conflict(&SqlState::from_code("23503")));
        for lost in ["57P01", "57P02", "57P03", "08006", "53300"] {
            assert!(is_unavailable(&SqlState::from_code(lost)), "{lost}");
        }
        assert!(!is_unavailable(&SqlState::from_code("57014")));
    }
}
