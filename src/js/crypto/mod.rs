//! What `crypto.subtle` computes, over bytes. The runtime's JavaScript checks algorithms, usages and lengths and
//! knows the formats of keys that are JSON; here is the arithmetic.

mod block_cipher;
mod curves;
mod hash;
mod rsa_keys;

/// An argument of an operation.
#[derive(Clone, Debug)]
pub(super) enum Arg {
    /// The name of a hash or of a curve.
    Text(String),
    /// A key, a message, a nonce.
    Bytes(Vec<u8>),
    /// A length or a count.
    Number(usize),
}

/// Why an operation gives no result; the names are those of the standard's exceptions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CryptoError {
    /// The bytes are no such key.
    #[error("DataError: {0}")]
    Data(&'static str),
    /// It can not be computed with these arguments.
    #[error("OperationError: {0}")]
    Operation(&'static str),
    /// It is not offered.
    #[error("NotSupportedError: {0}")]
    NotSupported(&'static str),
}

const MALFORMED: CryptoError = CryptoError::NotSupported("no such operation");

type Result<T> = std::result::Result<T, CryptoError>;

/// The arguments of an operation, by position.
#[derive(Clone, Copy)]
struct Args<'a>(&'a [Arg]);

impl<'a> Args<'a> {
    fn text(self, at: usize) -> Result<&'a str> {
        match self.0.get(at) {
            Some(Arg::Text(text)) => Ok(text),
            Some(Arg::Bytes(_) | Arg::Number(_)) | None => Err(MALFORMED),
        }
    }

    fn bytes(self, at: usize) -> Result<&'a [u8]> {
        match self.0.get(at) {
            Some(Arg::Bytes(bytes)) => Ok(bytes),
            Some(Arg::Text(_) | Arg::Number(_)) | None => Err(MALFORMED),
        }
    }

    fn number(self, at: usize) -> Result<usize> {
        match self.0.get(at) {
            Some(Arg::Number(number)) => Ok(*number),
            Some(Arg::Text(_) | Arg::Bytes(_)) | None => Err(MALFORMED),
        }
    }
}

/// The answer of a verification.
fn truth(valid: bool) -> Vec<u8> {
    vec![u8::from(valid)]
}

/// Runs an operation by its name.
pub(super) fn run(operation: &str, args: &[Arg]) -> Result<Vec<u8>> {
    let args = Args(args);
    match operation.split_once('.') {
        Some(("hash", name)) => hash::run(name, args),
        Some(("aes", name)) => block_cipher::run(name, args),
        Some(("rsa", name)) => rsa_keys::run(name, args),
        Some(("curve", name)) => curves::run(name, args),
        Some(_) | None => Err(MALFORMED),
    }
}
