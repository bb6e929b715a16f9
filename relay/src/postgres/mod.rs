//! Connections to Postgres: the URL, and TLS as libpq has it.
//!
//! `sslmode` is one of `disable`, `prefer` (the default), `require`, `verify-ca`, `verify-full`; `sslrootcert`,
//! `sslcert` and `sslkey` name files of PEM. The library below knows the first three modes only and no files, so
//! these options are taken out of the URL before it sees it.

mod options;
mod tls;

use std::io::ErrorKind;
use std::path::PathBuf;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{CancelToken, Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use options::Options;

/// The stream that a connection speaks over.
pub(crate) type Stream = <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream;

/// What is wrong with a URL of a database. The URL is not shown: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library does not understand it.
    #[error("{}", with_cause(.0))]
    Url(#[source] tokio_postgres::Error),
    /// It has no end, or a `%` without a number.
    #[error("{0}")]
    Malformed(&'static str),
    /// A mode that there is not.
    #[error("sslmode {0:?} is not one of disable, prefer, require, verify-ca, verify-full")]
    Mode(String),
    /// The server's certificate cannot be checked against anything.
    #[error(
        "sslmode {mode} needs certificates of authorities that are trusted: name a file of PEM by sslrootcert, or put \
         one at {default}"
    )]
    NoRoots {
        /// The mode that was asked for.
        mode: &'static str,
        /// Where the file is looked for.
        default: PathBuf,
    },
    /// A file of certificates or keys is not to be used.
    #[error("{option} {path}: {reason}")]
    File {
        /// The option that names it.
        option: &'static str,
        /// As it was named.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A certificate without its key or the other way round.
    #[error("sslcert and sslkey belong together: name both or neither")]
    HalfCertificate,
}

/// How TLS is used, as libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    fn parse(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            other => return Err(Error::Mode(other.to_owned())),
        })
    }
}

/// A database to connect to.
#[derive(Clone)]
pub(crate) struct Target {
    config: Config,
    mode: Mode,
    tls: MakeRustlsConnect,
}

impl Target {
    /// Reads a URL, or a string of `name=value`; files that it names are read, too.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let (rest, options) = Options::take(url)?;
        let mut config: Config = rest.parse().map_err(Error::Url)?;
        let mode = options
            .mode
            .as_deref()
            .map_or(Ok(Mode::Prefer), Mode::parse)?;
        let tls = tls::connector(mode, &options)?;
        // As with libpq there is no TLS over Unix sockets, whatever the mode.
        let local = config
            .get_hosts()
            .iter()
            .all(|host| matches!(host, Host::Unix(_)));
        config.ssl_mode(match mode {
            Mode::Disable => SslMode::Disable,
            _ if local && !config.get_hosts().is_empty() => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        });
        Ok(Self { config, mode, tls })
    }

    pub(crate) fn config(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Connects. `prefer` does without TLS if that fails, as libpq does.
    pub(crate) async fn connect(
        &self,
    ) -> Result<(Client, Connection<Socket, Stream>), tokio_postgres::Error> {
        let connected = self.config.connect(self.tls.clone()).await;
        match connected {
            Err(error) if self.mode == Mode::Prefer && is_of_tls(&error) => {
                let mut plain = self.config.clone();
                plain.ssl_mode(SslMode::Disable);
                plain.connect(self.tls.clone()).await
            }
            Ok(_) | Err(_) => connected,
        }
    }

    /// Asks the server to stop what a connection of this target does.
    pub(crate) async fn cancel(&self, token: CancelToken) -> Result<(), tokio_postgres::Error> {
        token.cancel_query(self.tls.clone()).await
    }
}

/// Whether a connection failed because of TLS: by the handshake, or because the server takes none of this
/// client with TLS.
fn is_of_tls(error: &tokio_postgres::Error) -> bool {
    let of_tls = |io: &std::io::Error| {
        matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
    };
    let source = std::error::Error::source(error);
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
        || source
            .and_then(|source| source.downcast_ref())
            .is_some_and(of_tls)
}

fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Result<(Mode, SslMode), String> {
        let target = Target::parse(url).map_err(|error| error.to_string())?;
        Ok((target.mode, target.config.get_ssl_mode()))
    }

    #[test]
    fn modes() {
        assert_eq!(
            mode("postgresql://u@h/d"),
            Ok((Mode::Prefer, SslMode::Prefer))
        );
        assert_eq!(
            mode("postgresql://u@h/d?sslmode=disable&application_name=x"),
            Ok((Mode::Disable, SslMode::Disable))
        );
        assert_eq!(
            mode("host=h user=u sslmode=require"),
            Ok((Mode::Require, SslMode::Require))
        );
        assert_eq!(
            mode("host=/run/postgresql sslmode=require"),
            Ok((Mode::Require, SslMode::Disable)),
            "none over Unix sockets"
        );
        let error = mode("postgresql://u@h/d?sslmode=always").unwrap_err();
        assert!(error.contains("\"always\""), "{error}");
        let error =
            mode("postgresql://u@h/d?sslmode=verify-full&sslrootcert=/nowhere/ca.pem").unwrap_err();
        assert!(
            error.starts_with("sslrootcert /nowhere/ca.pem: "),
            "{error}"
        );
        let error = mode("postgresql://u@h/d?sslcert=/c.pem").unwrap_err();
        assert!(error.contains("belong together"), "{error}");
        assert!(mode("postgresql://u@h/d?nonsense=1").is_err());
    }
}
