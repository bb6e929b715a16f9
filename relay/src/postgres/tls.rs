//! What a server's certificate must show, by mode.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::options::Options;
use super::{Error, Mode};

/// What connects with TLS as the mode asks for it.
pub(super) fn connector(mode: Mode, options: &Options) -> Result<MakeRustlsConnect, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(mode, options, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("sslmode", Path::new(""), &error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (&options.certificate, &options.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates("sslcert", certificate)?;
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| unusable("sslkey", key, &error))?;
            let built = builder.with_client_auth_cert(chain, private);
            built.map_err(|error| unusable("sslcert", certificate, &error))?
        }
        (Some(_), None) | (None, Some(_)) => return Err(Error::HalfCertificate),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn verifier(
    mode: Mode,
    options: &Options,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let anyone = || Arc::new(Anyone(Arc::clone(provider))) as Arc<dyn ServerCertVerifier>;
    let default = default_roots();
    let named = options.root.clone();
    let roots = named.or_else(|| Some(default.clone()).filter(|path| path.exists()));
    let (roots, mode_name) = match (mode, roots) {
        (Mode::Disable | Mode::Prefer, _) | (Mode::Require, None) => return Ok(anyone()),
        (Mode::VerifyCa, None) => {
            return Err(Error::NoRoots {
                mode: "verify-ca",
                default,
            });
        }
        (Mode::VerifyFull, None) => {
            return Err(Error::NoRoots {
                mode: "verify-full",
                default,
            });
        }
        // As with libpq: a file of authorities makes `require` mean `verify-ca`.
        (Mode::Require | Mode::VerifyCa, Some(roots)) => (roots, Mode::VerifyCa),
        (Mode::VerifyFull, Some(roots)) => (roots, Mode::VerifyFull),
    };
    let mut store = RootCertStore::empty();
    for certificate in certificates("sslrootcert", &roots)? {
        store
            .add(certificate)
            .map_err(|error| unusable("sslrootcert", &roots, &error))?;
    }
    let built =
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build();
    let full = built.map_err(|error| unusable("sslrootcert", &roots, &error))?;
    Ok(match mode_name {
        Mode::VerifyFull => full,
        _ => Arc::new(AnyName(full)),
    })
}

/// Where libpq looks for authorities.
fn default_roots() -> PathBuf {
    let home = env::var_os("HOME").unwrap_or_default();
    Path::new(&home).join(".postgresql/root.crt")
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| unusable(option, path, &error))?;
    if certificates.is_empty() {
        return Err(unusable(option, path, &"there is no certificate in it"));
    }
    Ok(certificates)
}

fn unusable(option: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::File {
        option,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// `prefer` and `require`: the connection is encrypted, to whom is not asked.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// `verify-ca`: signed by an authority that is trusted, for whatever name. The name is checked last, so an error of
/// the name says that the rest is good.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        match self
            .0
            .verify_server_cert(certificate, others, name, ocsp, now)
        {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
