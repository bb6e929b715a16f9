//! How a call can fail.

use std::any::Any;
use std::fmt;

/// Longest message of an error that a function threw.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A host call that did not succeed.
pub(crate) enum HostError {
    /// Becomes an `Error` that the function can catch.
    Js {
        /// Message of the error.
        message: String,
        /// JSON text whose parsed value becomes `error.data` (the data of a `ConvexError`).
        data: Option<String>,
    },
    /// Ends the function at once; it can not catch this. The payload comes back in [`Failure::Host`].
    Fatal(Box<dyn Any + Send>),
}

impl HostError {
    /// An error the function can catch, without data.
    pub(crate) fn js(message: impl Into<String>) -> Self {
        Self::Js {
            message: message.into(),
            data: None,
        }
    }
}

impl fmt::Debug for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Js { message, data } => f
                .debug_struct("Js")
                .field("message", message)
                .field("data", data)
                .finish(),
            Self::Fatal(_) => f.write_str("Fatal"),
        }
    }
}

/// What a function threw, or why it could not be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct JsError {
    /// `Uncaught Error: why`, then one line per frame and a newline at the end if there is a stack.
    pub message: String,
    /// Data of a `ConvexError` as JSON text.
    pub data: Option<String>,
}

impl JsError {
    /// An error that has neither a stack nor data.
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }

    /// The error with a message that logs and clients can take.
    pub(super) fn bounded(mut self) -> Self {
        let size = self.message.len();
        if size > MESSAGE_BYTES_MAX {
            let end = self.message.floor_char_boundary(MESSAGE_BYTES_MAX);
            self.message.truncate(end);
            self.message
                .push_str(&format!("... (cut, the message has {size} bytes)\n"));
        }
        self
    }
}

/// Why a call was stopped from outside. Nothing the function did may be kept.
#[derive(thiserror::Error)]
pub(crate) enum Failure {
    /// A host call failed for good; the payload is the one of [`HostError::Fatal`] or of the panic.
    #[error("a host call ended the function")]
    Host(Box<dyn Any + Send>),
    /// The server wanted to interrupt the process.
    #[error("the function was interrupted")]
    Interrupted,
    /// The function used up its processor time.
    #[error("the function used up its time limit")]
    TimedOut,
    /// The function used up its memory.
    #[error("the function used up its memory limit")]
    OutOfMemory,
    /// Too little stack is left to enter JavaScript.
    #[error("too little stack is left to run a function")]
    StackDepth,
    /// The engine did not do what it must; a defect.
    #[error("JavaScript engine: {0}")]
    Engine(String),
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why modules could not be analysed or evaluated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModuleFailure {
    /// A module does not compile, does not link, or its code throws.
    #[error("{path}: {error}")]
    Module {
        /// Path of the module that was being imported.
        path: String,
        /// What went wrong, with file, line and column where known.
        error: JsError,
    },
    /// The evaluation was stopped from outside.
    #[error(transparent)]
    Failure(#[from] Failure),
}
