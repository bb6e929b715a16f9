//! RSA: keys (private ones in PKCS #8, public ones as SubjectPublicKeyInfo), signatures, OAEP.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BigUint, Oaep, Pkcs1v15Sign, Pss, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::{Args, CryptoError, MALFORMED, Result, hash, truth};

const KEY: CryptoError = CryptoError::Data("this is no key of RSA");
const FAILED: CryptoError = CryptoError::Operation("RSA can not do this with this key");
/// Longest modulus: a private operation takes the cube of it.
const MAX_MODULUS_BYTES: usize = 8192 / 8;

pub(super) fn run(name: &str, args: Args<'_>) -> Result<Vec<u8>> {
    match name {
        "publicKey" => Ok(public(args.bytes(0)?)
            .or_else(|_| Ok(private(args.bytes(0)?)?.to_public_key()))
            .and_then(|key| encode_public(&key))?),
        "privateKey" => encode_private(&private(args.bytes(0)?)?),
        "fromParts" => from_parts(args),
        "publicParts" => {
            let key = public(args.bytes(0)?)?;
            Ok(parts(&[key.n(), key.e()]))
        }
        "privateParts" => private_parts(&private(args.bytes(0)?)?),
        "sign" => sign(args),
        "verify" => verify(args),
        "encrypt" => encrypt(args),
        "decrypt" => decrypt(args),
        _ => Err(MALFORMED),
    }
}

fn private(der: &[u8]) -> Result<RsaPrivateKey> {
    let key = RsaPrivateKey::from_pkcs8_der(der).map_err(|_| KEY)?;
    if key.size() > MAX_MODULUS_BYTES {
        return Err(KEY);
    }
    Ok(key)
}

fn public(der: &[u8]) -> Result<RsaPublicKey> {
    let key = RsaPublicKey::from_public_key_der(der).map_err(|_| KEY)?;
    if key.size() > MAX_MODULUS_BYTES {
        return Err(KEY);
    }
    Ok(key)
}

fn encode_private(key: &RsaPrivateKey) -> Result<Vec<u8>> {
    let der = key.to_pkcs8_der().map_err(|_| KEY)?;
    Ok(der.as_bytes().to_vec())
}

fn encode_public(key: &RsaPublicKey) -> Result<Vec<u8>> {
    Ok(key.to_public_key_der().map_err(|_| KEY)?.into_vec())
}

/// A key of its numbers n, e and, if it is a private one, d, p, q.
fn from_parts(args: Args<'_>) -> Result<Vec<u8>> {
    let number = |at| args.bytes(at).map(BigUint::from_bytes_be);
    let (n, e) = (number(0)?, number(1)?);
    if n.bits() > MAX_MODULUS_BYTES * 8 {
        return Err(KEY);
    }
    if args.bytes(2).is_err() {
        return encode_public(&RsaPublicKey::new(n, e).map_err(|_| KEY)?);
    }
    let primes = vec![number(3)?, number(4)?];
    let key = RsaPrivateKey::from_components(n, e, number(2)?, primes).map_err(|_| KEY)?;
    encode_private(&key)
}

/// n, e, d, p, q, dp, dq, qi.
fn private_parts(key: &RsaPrivateKey) -> Result<Vec<u8>> {
    let (p, q) = match key.primes() {
        [p, q] => (p, q),
        _ => return Err(CryptoError::NotSupported("keys have two primes")),
    };
    let mut key = key.clone();
    key.precompute().map_err(|_| KEY)?;
    let (dp, dq) = (key.dp().ok_or(KEY)?, key.dq().ok_or(KEY)?);
    let qi = key.crt_coefficient().ok_or(KEY)?;
    Ok(parts(&[key.n(), key.e(), key.d(), p, q, dp, dq, &qi]))
}

/// Numbers in big-endian bytes, each with its length in 4 bytes before.
fn parts(numbers: &[&BigUint]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in numbers {
        let number = number.to_bytes_be();
        bytes.extend(
            u32::try_from(number.len())
                .unwrap_or(u32::MAX)
                .to_be_bytes(),
        );
        bytes.extend(number);
    }
    bytes
}

/// Random numbers of a seed: padding and blinding take what the call's own generator gave.
struct Seeded(ChaCha12Rng);

impl Seeded {
    fn new(seed: &[u8]) -> Result<Self> {
        let seed = seed.try_into().map_err(|_| MALFORMED)?;
        Ok(Self(ChaCha12Rng::from_seed(seed)))
    }
}

impl RngCore for Seeded {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> std::result::Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Seeded {}

const UNKNOWN_HASH: CryptoError = CryptoError::NotSupported("unknown hash");

fn pkcs1(hash: &str) -> Result<Pkcs1v15Sign> {
    match hash {
        "SHA-1" => Ok(Pkcs1v15Sign::new::<Sha1>()),
        "SHA-256" => Ok(Pkcs1v15Sign::new::<Sha256>()),
        "SHA-384" => Ok(Pkcs1v15Sign::new::<Sha384>()),
        "SHA-512" => Ok(Pkcs1v15Sign::new::<Sha512>()),
        _ => Err(UNKNOWN_HASH),
    }
}

fn pss(hash: &str, salt_bytes: usize) -> Result<Pss> {
    match hash {
        "SHA-1" => Ok(Pss::new_with_salt::<Sha1>(salt_bytes)),
        "SHA-256" => Ok(Pss::new_with_salt::<Sha256>(salt_bytes)),
        "SHA-384" => Ok(Pss::new_with_salt::<Sha384>(salt_bytes)),
        "SHA-512" => Ok(Pss::new_with_salt::<Sha512>(salt_bytes)),
        _ => Err(UNKNOWN_HASH),
    }
}

fn oaep(hash: &str, label: &[u8]) -> Result<Oaep> {
    let label = std::str::from_utf8(label)
        .map_err(|_| CryptoError::NotSupported("labels are texts in UTF-8"))?;
    match hash {
        "SHA-1" => Ok(Oaep::new_with_label::<Sha1, _>(label)),
        "SHA-256" => Ok(Oaep::new_with_label::<Sha256, _>(label)),
        "SHA-384" => Ok(Oaep::new_with_label::<Sha384, _>(label)),
        "SHA-512" => Ok(Oaep::new_with_label::<Sha512, _>(label)),
        _ => Err(UNKNOWN_HASH),
    }
}

/// Padding (`pkcs1` or `pss`), hash, length of the salt, key, data, seed.
fn sign(args: Args<'_>) -> Result<Vec<u8>> {
    let (padding, hash_name) = (args.text(0)?, args.text(1)?);
    let key = private(args.bytes(3)?)?;
    let digest = hash::digest(hash_name, args.bytes(4)?)?;
    let mut random = Seeded::new(args.bytes(5)?)?;
    let signature = match padding {
        "pkcs1" => key.sign_with_rng(&mut random, pkcs1(hash_name)?, &digest),
        "pss" => key.sign_with_rng(&mut random, pss(hash_name, args.number(2)?)?, &digest),
        _ => return Err(MALFORMED),
    };
    signature.map_err(|_| FAILED)
}

/// Padding, hash, length of the salt, key, signature, data.
fn verify(args: Args<'_>) -> Result<Vec<u8>> {
    let (padding, hash_name) = (args.text(0)?, args.text(1)?);
    let key = public(args.bytes(3)?)?;
    let digest = hash::digest(hash_name, args.bytes(5)?)?;
    let result = match padding {
        "pkcs1" => key.verify(pkcs1(hash_name)?, &digest, args.bytes(4)?),
        "pss" => key.verify(pss(hash_name, args.number(2)?)?, &digest, args.bytes(4)?),
        _ => return Err(MALFORMED),
    };
    Ok(truth(result.is_ok()))
}

/// Hash, label, key, data, seed.
fn encrypt(args: Args<'_>) -> Result<Vec<u8>> {
    let padding = oaep(args.text(0)?, args.bytes(1)?)?;
    let mut random = Seeded::new(args.bytes(4)?)?;
    public(args.bytes(2)?)?
        .encrypt(&mut random, padding, args.bytes(3)?)
        .map_err(|_| FAILED)
}

/// Hash, label, key, data, seed (of the blinding).
fn decrypt(args: Args<'_>) -> Result<Vec<u8>> {
    let padding = oaep(args.text(0)?, args.bytes(1)?)?;
    let mut random = Seeded::new(args.bytes(4)?)?;
    private(args.bytes(2)?)?
        .decrypt_blinded(&mut random, padding, args.bytes(3)?)
        .map_err(|_| FAILED)
}
