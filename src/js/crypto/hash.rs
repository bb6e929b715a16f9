//! Digests, and what is made of them: HMAC, PBKDF2, HKDF.

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{Args, CryptoError, MALFORMED, Result, truth};

/// Most rounds of a hash that one PBKDF2 may take: they can not be interrupted.
const MAX_ROUNDS: usize = 2_000_000;
/// Longest derived key.
const MAX_DERIVED_BYTES: usize = 1 << 16;

/// Evaluates `$body` with `$digest` standing for the type of the hash named `$name`.
macro_rules! with_hash {
    ($name:expr, $digest:ident => $body:expr) => {
        match $name {
            "SHA-1" => {
                type $digest = Sha1;
                $body
            }
            "SHA-256" => {
                type $digest = Sha256;
                $body
            }
            "SHA-384" => {
                type $digest = Sha384;
                $body
            }
            "SHA-512" => {
                type $digest = Sha512;
                $body
            }
            _ => Err(CryptoError::NotSupported("unknown hash")),
        }
    };
}

/// The digest of `data`.
pub(super) fn digest(name: &str, data: &[u8]) -> Result<Vec<u8>> {
    with_hash!(name, D => Ok(D::digest(data).to_vec()))
}

pub(super) fn run(name: &str, args: Args<'_>) -> Result<Vec<u8>> {
    match name {
        "digest" => digest(args.text(0)?, args.bytes(1)?),
        "hmac" => hmac(args.text(0)?, args.bytes(1)?, args.bytes(2)?),
        "verifyHmac" => verify_hmac(
            args.text(0)?,
            args.bytes(1)?,
            args.bytes(2)?,
            args.bytes(3)?,
        ),
        "pbkdf2" => pbkdf2(args),
        "hkdf" => hkdf(args),
        _ => Err(MALFORMED),
    }
}

fn hmac(name: &str, key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    with_hash!(name, D => {
        let mut mac = keyed::<Hmac<D>>(key)?;
        mac.update(data);
        Ok(mac.finalize().into_bytes().to_vec())
    })
}

/// Compares in constant time.
fn verify_hmac(name: &str, key: &[u8], signature: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    with_hash!(name, D => {
        let mut mac = keyed::<Hmac<D>>(key)?;
        mac.update(data);
        Ok(truth(mac.verify_slice(signature).is_ok()))
    })
}

fn keyed<M: Mac + hmac::digest::KeyInit>(key: &[u8]) -> Result<M> {
    <M as Mac>::new_from_slice(key).map_err(|_| CryptoError::Operation("the key does not fit"))
}

/// Hash, password, salt, iterations, length in bytes.
fn pbkdf2(args: Args<'_>) -> Result<Vec<u8>> {
    let (password, salt) = (args.bytes(1)?, args.bytes(2)?);
    let (iterations, length) = (args.number(3)?, derived_bytes(args.number(4)?)?);
    let mut output = vec![0; length];
    with_hash!(args.text(0)?, D => {
        let blocks = length.div_ceil(<D as Digest>::output_size());
        if iterations.saturating_mul(blocks) > MAX_ROUNDS {
            return Err(CryptoError::Operation("a key may take at most 2,000,000 iterations"));
        }
        let iterations = u32::try_from(iterations).map_err(|_| MALFORMED)?;
        pbkdf2::pbkdf2::<Hmac<D>>(password, salt, iterations, &mut output)
            .map_err(|_| CryptoError::Operation("the password does not fit"))?;
        Ok(output)
    })
}

/// Hash, key, salt, info, length in bytes.
fn hkdf(args: Args<'_>) -> Result<Vec<u8>> {
    let (key, salt, info) = (args.bytes(1)?, args.bytes(2)?, args.bytes(3)?);
    let mut output = vec![0; derived_bytes(args.number(4)?)?];
    with_hash!(args.text(0)?, D => {
        Hkdf::<D>::new(Some(salt), key)
            .expand(info, &mut output)
            .map_err(|_| CryptoError::Operation("the derived key is too long"))?;
        Ok(output)
    })
}

fn derived_bytes(length: usize) -> Result<usize> {
    if length > MAX_DERIVED_BYTES {
        return Err(CryptoError::Operation("the derived key is too long"));
    }
    Ok(length)
}
