//! AES: GCM, CBC with padding, CTR.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::typenum::{U12, U13, U14, U15, U16};
use aes::cipher::{
    BlockCipher, BlockDecryptMut, BlockEncrypt, BlockEncryptMut, BlockSizeUser, InnerIvInit,
    KeyInit, KeyIvInit, StreamCipher, StreamCipherCoreWrapper,
};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{AesGcm, Nonce, TagSize};

use super::{Args, CryptoError, MALFORMED, Result};

const KEY: CryptoError = CryptoError::Data("a key of AES has 128, 192 or 256 bits");
const FAILED: CryptoError = CryptoError::Operation("the data can not be decrypted with this key");

/// Evaluates `$body` with `$cipher` standing for AES with a key as long as `$key`.
macro_rules! with_key {
    ($key:expr, $cipher:ident => $body:expr) => {
        match $key.len() {
            16 => {
                type $cipher = Aes128;
                $body
            }
            24 => {
                type $cipher = Aes192;
                $body
            }
            32 => {
                type $cipher = Aes256;
                $body
            }
            _ => Err(KEY),
        }
    };
}

pub(super) fn run(name: &str, args: Args<'_>) -> Result<Vec<u8>> {
    let key = args.bytes(0)?;
    match name {
        "encryptGcm" => with_key!(key, C => gcm::<C>(args, true)),
        "decryptGcm" => with_key!(key, C => gcm::<C>(args, false)),
        "encryptCbc" => with_key!(key, C => encrypt_cbc::<C>(args)),
        "decryptCbc" => with_key!(key, C => decrypt_cbc::<C>(args)),
        "ctr" => with_key!(key, C => ctr::<C>(args)),
        _ => Err(MALFORMED),
    }
}

/// Key, nonce, additional data, length of the tag in bytes, data.
fn gcm<C>(args: Args<'_>, encrypt: bool) -> Result<Vec<u8>>
where
    C: BlockCipher + BlockEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
{
    match args.number(3)? {
        12 => gcm_tag::<C, U12>(args, encrypt),
        13 => gcm_tag::<C, U13>(args, encrypt),
        14 => gcm_tag::<C, U14>(args, encrypt),
        15 => gcm_tag::<C, U15>(args, encrypt),
        16 => gcm_tag::<C, U16>(args, encrypt),
        _ => Err(CryptoError::NotSupported("tags have 96 to 128 bits")),
    }
}

fn gcm_tag<C, T>(args: Args<'_>, encrypt: bool) -> Result<Vec<u8>>
where
    C: BlockCipher + BlockEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
    T: TagSize,
{
    let (key, nonce) = (args.bytes(0)?, args.bytes(1)?);
    let payload = Payload {
        msg: args.bytes(4)?,
        aad: args.bytes(2)?,
    };
    macro_rules! run {
        ($nonce:ty) => {{
            let cipher = AesGcm::<C, $nonce, T>::new_from_slice(key).map_err(|_| KEY)?;
            let nonce = Nonce::<$nonce>::from_slice(nonce);
            if encrypt {
                cipher.encrypt(nonce, payload)
            } else {
                cipher.decrypt(nonce, payload)
            }
        }};
    }
    let result = match nonce.len() {
        12 => run!(U12),
        16 => run!(U16),
        _ => return Err(CryptoError::NotSupported("nonces have 96 or 128 bits")),
    };
    result.map_err(|_| FAILED)
}

/// Key, initial vector, data.
fn encrypt_cbc<C>(args: Args<'_>) -> Result<Vec<u8>>
where
    C: BlockCipher + BlockEncryptMut + KeyInit,
    cbc::Encryptor<C>: KeyIvInit,
{
    let cipher = cbc::Encryptor::<C>::new_from_slices(args.bytes(0)?, args.bytes(1)?);
    let cipher = cipher.map_err(|_| CryptoError::Operation("the initial vector has 128 bits"))?;
    Ok(cipher.encrypt_padded_vec_mut::<Pkcs7>(args.bytes(2)?))
}

/// Key, initial vector, data.
fn decrypt_cbc<C>(args: Args<'_>) -> Result<Vec<u8>>
where
    C: BlockCipher + BlockDecryptMut + KeyInit,
    cbc::Decryptor<C>: KeyIvInit,
{
    let cipher = cbc::Decryptor::<C>::new_from_slices(args.bytes(0)?, args.bytes(1)?);
    let cipher = cipher.map_err(|_| CryptoError::Operation("the initial vector has 128 bits"))?;
    cipher
        .decrypt_padded_vec_mut::<Pkcs7>(args.bytes(2)?)
        .map_err(|_| FAILED)
}

/// Key, counter, how many bits of it count, data.
fn ctr<C>(args: Args<'_>) -> Result<Vec<u8>>
where
    C: BlockCipher + BlockEncryptMut + BlockSizeUser<BlockSize = U16> + KeyInit,
{
    let key = C::new_from_slice(args.bytes(0)?).map_err(|_| KEY)?;
    let counter = args.bytes(1)?;
    let mut data = args.bytes(3)?.to_vec();
    macro_rules! run {
        ($flavor:ty) => {{
            let core = ctr::CtrCore::<C, $flavor>::inner_iv_slice_init(key, counter)
                .map_err(|_| CryptoError::Operation("the counter has 128 bits"))?;
            let mut stream = StreamCipherCoreWrapper::from_core(core);
            stream
                .try_apply_keystream(&mut data)
                .map_err(|_| CryptoError::Operation("the counter is too short for so much data"))?;
        }};
    }
    match args.number(2)? {
        32 => run!(ctr::flavors::Ctr32BE),
        64 => run!(ctr::flavors::Ctr64BE),
        128 => run!(ctr::flavors::Ctr128BE),
        _ => {
            return Err(CryptoError::NotSupported(
                "counters have 32, 64 or 128 bits",
            ));
        }
    }
    Ok(data)
}
