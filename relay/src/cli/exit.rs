//! How a command ends: what it says and its exit code.

use std::error::Error;
use std::process::ExitCode;

use crate::{deploy, dev};

/// Exit codes, as `pg-live help` lists them. Clap ends with 2 by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// It was refused or did not work: the message says why.
    Failed = 1,
    /// The database or the relay cannot be reached: it may work later.
    Unreachable = 3,
    /// `status` found something that does not work.
    Unhealthy = 4,
}

/// Why a command ended early.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    message: String,
}

impl Failure {
    /// A failure with its reason and what to do.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            code: Code::Failed,
            message: message.into(),
        }
    }

    /// Says it, as JSON for machines, and gives the exit code.
    pub(super) fn end(&self, json: bool) -> ExitCode {
        if json {
            let text = serde_json::json!({"error": self.message, "code": self.code as u8});
            eprintln!("{text}");
        } else if !self.message.is_empty() {
            let style = super::terminal::BAD;
            anstream::eprintln!("{style}pg-live:{style:#} {}", self.message);
        }
        ExitCode::from(self.code as u8)
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            code: code_of(&error),
            message: error.to_string(),
        }
    }
}

fn code_of(error: &(dyn Error + 'static)) -> Code {
    let deploy = match error.downcast_ref::<dev::Error>() {
        Some(dev::Error::Deploy(error)) => Some(error),
        Some(_) => None,
        None => error.downcast_ref::<deploy::Error>(),
    };
    match deploy {
        Some(deploy::Error::Connect(_) | deploy::Error::Lost(_)) => Code::Unreachable,
        Some(_) | None => Code::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_errors_fail() {
        let failure = Failure::from(std::io::Error::other("broken"));
        assert_eq!(failure.code, Code::Failed);
        assert_eq!(failure.message, "broken");
        assert_eq!(Failure::new("down").code, Code::Failed);
    }
}
