//! Elliptic curves. Private keys are their bare number, public ones the uncompressed point (P-256, P-384) or the
//! 32 bytes of Ed25519 and X25519.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use x25519_dalek::{PublicKey as X25519Public, StaticSecret};

use super::{Args, CryptoError, MALFORMED, Result, hash, truth};

const KEY: CryptoError = CryptoError::Data("this is no key of the curve");
const FAILED: CryptoError = CryptoError::Operation("the curve can not do this with this key");

/// The operations of one curve of NIST, by the crate that has it.
macro_rules! nist {
    ($module:ident, $crate_:ident) => {
        mod $module {
            use $crate_::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
            use $crate_::ecdsa::{Signature, SigningKey, VerifyingKey};
            use $crate_::elliptic_curve::sec1::ToEncodedPoint;
            use $crate_::pkcs8::{
                DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey,
            };
            use $crate_::{PublicKey, SecretKey};

            use super::{Args, FAILED, KEY, MALFORMED, Result, hash, truth};

            pub(super) fn run(name: &str, args: Args<'_>) -> Result<Vec<u8>> {
                let first = args.bytes(1)?;
                match name {
                    "privateFromDer" => {
                        let key = SecretKey::from_pkcs8_der(first).map_err(|_| KEY)?;
                        Ok(key.to_bytes().to_vec())
                    }
                    "privateToDer" => {
                        let der = private(first)?.to_pkcs8_der().map_err(|_| KEY)?;
                        Ok(der.as_bytes().to_vec())
                    }
                    "publicFromDer" => Ok(point(
                        &PublicKey::from_public_key_der(first).map_err(|_| KEY)?,
                    )),
                    "publicToDer" => Ok(public(first)?
                        .to_public_key_der()
                        .map_err(|_| KEY)?
                        .into_vec()),
                    "public" => Ok(point(&public(first)?)),
                    "publicOfPrivate" => Ok(point(&private(first)?.public_key())),
                    "sign" => sign(first, args.text(2)?, args.bytes(3)?),
                    "verify" => verify(first, args.text(2)?, args.bytes(3)?, args.bytes(4)?),
                    "derive" => {
                        let (mine, theirs) = (private(first)?, public(args.bytes(2)?)?);
                        let secret = $crate_::ecdh::diffie_hellman(
                            mine.to_nonzero_scalar(),
                            theirs.as_affine(),
                        );
                        Ok(secret.raw_secret_bytes().to_vec())
                    }
                    _ => Err(MALFORMED),
                }
            }

            fn private(bytes: &[u8]) -> Result<SecretKey> {
                SecretKey::from_slice(bytes).map_err(|_| KEY)
            }

            /// From a point in either of its two forms.
            fn public(bytes: &[u8]) -> Result<PublicKey> {
                PublicKey::from_sec1_bytes(bytes).map_err(|_| KEY)
            }

            fn point(key: &PublicKey) -> Vec<u8> {
                key.to_encoded_point(false).as_bytes().to_vec()
            }

            fn sign(key: &[u8], hash_name: &str, data: &[u8]) -> Result<Vec<u8>> {
                let digest = hash::digest(hash_name, data)?;
                let key = SigningKey::from(private(key)?);
                let signature: Signature = key.sign_prehash(&digest).map_err(|_| FAILED)?;
                Ok(signature.to_bytes().to_vec())
            }

            fn verify(
                key: &[u8],
                hash_name: &str,
                signature: &[u8],
                data: &[u8],
            ) -> Result<Vec<u8>> {
                let digest = hash::digest(hash_name, data)?;
                let key = VerifyingKey::from(public(key)?);
                let valid = Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok());
                Ok(truth(valid))
            }
        }
    };
}

nist!(curve_p256, p256);
nist!(curve_p384, p384);

/// The first argument is the name of the curve.
pub(super) fn run(name: &str, args: Args<'_>) -> Result<Vec<u8>> {
    match args.text(0)? {
        "P-256" => curve_p256::run(name, args),
        "P-384" => curve_p384::run(name, args),
        "Ed25519" => ed25519(name, args),
        "X25519" => x25519(name, args),
        _ => Err(CryptoError::NotSupported("unknown curve")),
    }
}

fn key(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| KEY)
}

fn ed25519(name: &str, args: Args<'_>) -> Result<Vec<u8>> {
    let first = key(args.bytes(1)?)?;
    match name {
        "public" => Ok(first.to_vec()),
        "publicOfPrivate" => Ok(SigningKey::from_bytes(&first)
            .verifying_key()
            .to_bytes()
            .to_vec()),
        "sign" => Ok(SigningKey::from_bytes(&first)
            .sign(args.bytes(2)?)
            .to_bytes()
            .to_vec()),
        "verify" => {
            let signature = Signature::from_slice(args.bytes(2)?);
            let valid = match (VerifyingKey::from_bytes(&first), signature) {
                (Ok(key), Ok(signature)) => key.verify_strict(args.bytes(3)?, &signature).is_ok(),
                _ => false,
            };
            Ok(truth(valid))
        }
        _ => Err(MALFORMED),
    }
}

fn x25519(name: &str, args: Args<'_>) -> Result<Vec<u8>> {
    let first = key(args.bytes(1)?)?;
    match name {
        "public" => Ok(first.to_vec()),
        "publicOfPrivate" => Ok(X25519Public::from(&StaticSecret::from(first))
            .to_bytes()
            .to_vec()),
        "derive" => {
            let theirs = X25519Public::from(key(args.bytes(2)?)?);
            let secret = StaticSecret::from(first).diffie_hellman(&theirs);
            if !secret.was_contributory() {
                return Err(FAILED);
            }
            Ok(secret.to_bytes().to_vec())
        }
        _ => Err(MALFORMED),
    }
}
