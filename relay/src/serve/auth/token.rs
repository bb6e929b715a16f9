//! Tokens of users: whose they are, and whether they are good.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use pg_live_values::auth_config::{self, AuthProvider, CustomAlgorithm, normalized_issuer};
use serde_json::{Map, Value as Json};

use super::Refused;
use super::identity::identity;
use super::keys::{KeyError, Keys};

/// How far clocks may be apart, in seconds.
const LEEWAY_S: u64 = 5;

/// A user whose token is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// JSON object.
    pub(crate) identity: Json,
    /// When the token ends, in seconds since 1970, the leeway included.
    pub(crate) expires_s: u64,
}

/// What a token says.
pub(crate) type Claims = Map<String, Json>;

/// Header and claims of a token, which may be anybody's.
pub(crate) fn read(token: &str) -> Result<(Header, Claims), Refused> {
    let header = jsonwebtoken::decode_header(token).map_err(|error| unreadable(&error))?;
    let claims = jsonwebtoken::dangerous::insecure_decode_claims(token)
        .map_err(|error| unreadable(&error))?;
    Ok((header, claims))
}

/// Judges a token at a time, in seconds since 1970.
pub(crate) async fn check(
    token: &str,
    providers: &[AuthProvider],
    keys: &Keys,
    now_s: u64,
) -> Result<User, Refused> {
    let (header, claims) = read(token)?;
    let issuer = text(&claims, "iss")?;
    let subject = text(&claims, "sub")?;
    let provider = providers
        .iter()
        .find(|provider| {
            provider.issuer() == normalized_issuer(issuer) && is_for(provider, &claims)
        })
        .ok_or_else(|| no_provider(providers, issuer, &claims))?;
    let expires_s = check_times(&claims, now_s)?;
    check_signature(token, &header, provider, keys).await?;
    Ok(User {
        identity: identity(provider, issuer, subject, &claims),
        expires_s,
    })
}

async fn check_signature(
    token: &str,
    header: &Header,
    provider: &AuthProvider,
    keys: &Keys,
) -> Result<(), Refused> {
    let allowed = algorithms(provider);
    if !allowed.contains(&header.alg) {
        return Err(invalid(format!(
            "the token is signed by {:?}; {provider} uses {allowed:?}",
            header.alg
        )));
    }
    let key = keys
        .find(provider, header.kid.as_deref())
        .await
        .map_err(|error| key_refused(&error))?;
    verify(token, header.alg, &key)
}

/// Bytes of a public key of Ed25519. The library takes for granted that there are no fewer.
const ED25519_BYTES: usize = 32;

/// Whether the token was signed so with the key.
fn verify(token: &str, algorithm: Algorithm, jwk: &Jwk) -> Result<(), Refused> {
    let key = DecodingKey::from_jwk(jwk)
        .map_err(|error| invalid(format!("the token's key cannot be used: {error}")))?;
    let is_whole = |bytes: &[u8]| bytes.len() == ED25519_BYTES;
    if matches!(jwk.algorithm, AlgorithmParameters::OctetKeyPair(_))
        && !key.try_get_as_bytes().is_ok_and(is_whole)
    {
        return Err(invalid(format!(
            "the token's key cannot be used: it does not have {ED25519_BYTES} bytes"
        )));
    }
    // Claims were looked at: what is wrong with them is said more exactly there.
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Claims>(token, &key, &validation)
        .map(drop)
        .map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => {
                invalid("the token's signature is not that of its issuer".to_owned())
            }
            ErrorKind::InvalidAlgorithm => {
                invalid("the token's key is not one for the token's algorithm".to_owned())
            }
            _ => unreadable(&error),
        })
}

/// What a provider signs with; a token cannot choose.
fn algorithms(provider: &AuthProvider) -> &'static [Algorithm] {
    match provider {
        AuthProvider::Oidc { .. } => &[Algorithm::RS256, Algorithm::EdDSA],
        AuthProvider::CustomJwt { algorithm, .. } => match algorithm {
            CustomAlgorithm::Rs256 => &[Algorithm::RS256],
            CustomAlgorithm::Es256 => &[Algorithm::ES256],
        },
    }
}

fn is_for(provider: &AuthProvider, claims: &Claims) -> bool {
    let Some(audience) = provider.audience() else {
        return true;
    };
    match claims.get("aud") {
        Some(Json::String(one)) => one == audience,
        Some(Json::Array(several)) => several.iter().any(|one| one == audience),
        Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_)) | None => false,
    }
}

/// Whether the token is good now; returns when it ends.
fn check_times(claims: &Claims, now_s: u64) -> Result<u64, Refused> {
    let expires_s = seconds(claims, "exp")?
        .ok_or_else(|| invalid("the token has no `exp`: when it ends".to_owned()))?;
    let last_s = expires_s.saturating_add(LEEWAY_S);
    if now_s >= last_s {
        return Err(invalid(format!(
            "Token expired {} seconds ago",
            now_s - expires_s
        )));
    }
    for claim in ["nbf", "iat"] {
        let begins_s = seconds(claims, claim)?.unwrap_or(0);
        if begins_s > now_s.saturating_add(LEEWAY_S) {
            return Err(invalid(format!(
                "Token will be valid in {} seconds (`{claim}`)",
                begins_s - now_s
            )));
        }
    }
    Ok(last_s)
}

/// A time in seconds; some issuers write fractions.
fn seconds(claims: &Claims, claim: &str) -> Result<Option<u64>, Refused> {
    let value = match claims.get(claim) {
        None | Some(Json::Null) => return Ok(None),
        Some(value) => value,
    };
    let number = value.as_f64().filter(|number| (0.0..9e15).contains(number));
    match number {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within 0..9e15"
        )]
        Some(number) => Ok(Some(number as u64)),
        None => Err(invalid(format!(
            "the token's `{claim}` is not a time in seconds"
        ))),
    }
}

fn text<'a>(claims: &'a Claims, claim: &str) -> Result<&'a str, Refused> {
    claims
        .get(claim)
        .and_then(Json::as_str)
        .ok_or_else(|| invalid(format!("the token has no `{claim}`")))
}

fn no_provider(providers: &[AuthProvider], issuer: &str, claims: &Claims) -> Refused {
    let audience = claims.get("aud").cloned().unwrap_or_default();
    let known: Vec<String> = providers.iter().map(ToString::to_string).collect();
    let known = if known.is_empty() {
        "none; add them to auth.config.ts and deploy".to_owned()
    } else {
        known.join(", ")
    };
    Refused {
        code: "NoAuthProvider",
        message: format!(
            "No auth provider found matching the given token (issuer {issuer:?}, audience \
             {audience}). Configured providers: {known}"
        ),
    }
}

fn key_refused(error: &KeyError) -> Refused {
    let code = match error {
        KeyError::Discovery { .. } => "AuthProviderDiscoveryFailed",
        KeyError::Fetch { .. } | KeyError::Unknown { .. } | KeyError::NoKid => "InvalidAuthHeader",
    };
    let message = error.to_string();
    let mut letters = message.chars();
    let first = letters.next().map(|letter| letter.to_uppercase());
    Refused {
        code,
        message: first.into_iter().flatten().chain(letters).collect(),
    }
}

fn unreadable(error: &jsonwebtoken::errors::Error) -> Refused {
    invalid(format!(
        "Could not parse the token: {error}; expected three parts of base64 with points between them"
    ))
}

fn invalid(message: String) -> Refused {
    Refused {
        code: "InvalidAuthHeader",
        message,
    }
}

/// Any token with any key: its own algorithm, and those that tokens may have where it has no signature.
pub(super) fn check_with_any_key(token: &str, key: &Jwk) {
    if let Ok((header, _)) = read(token) {
        let _ = verify(token, header.alg, key);
    }
    for (algorithm, signature_bytes) in [
        (Algorithm::RS256, 256),
        (Algorithm::ES256, 64),
        (Algorithm::EdDSA, 64),
    ] {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = format!(r#"{{"alg":"{algorithm:?}"}}"#);
        let signature = encode(&vec![1; signature_bytes]);
        let unsigned = format!(
            "{}.{}.{signature}",
            encode(header.as_bytes()),
            encode(b"{}")
        );
        let _ = verify(&unsigned, algorithm, key);
    }
}

/// Any JSON as what a token of each kind of provider says.
pub(super) fn take_any_claims(json: &Json) {
    let Json::Object(claims) = json else { return };
    let providers = r#"{"providers":[{"domain":"https://a","applicationID":"b"},
        {"type":"customJwt","issuer":"https://c","jwks":"data:,{}","algorithm":"ES256"}]}"#;
    for provider in auth_config::parse(providers).unwrap_or_default() {
        let issuer = text(claims, "iss").unwrap_or_default();
        let _ = no_provider(std::slice::from_ref(&provider), issuer, claims);
        let _ = is_for(&provider, claims);
        let _ = check_times(claims, 1_700_000_000);
        let _ = identity(
            &provider,
            issuer,
            text(claims, "sub").unwrap_or_default(),
            claims,
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ed25519(bytes: usize) -> Jwk {
        let x = URL_SAFE_NO_PAD.encode(vec![0x66; bytes]);
        serde_json::from_value(json!({"kty": "OKP", "crv": "Ed25519", "x": x})).unwrap()
    }

    #[test]
    fn keys_of_other_lengths_are_refused() {
        for bytes in [0, 23, 31, 33] {
            let refused = verify("a.b.c", Algorithm::EdDSA, &ed25519(bytes)).unwrap_err();
            assert!(refused.message.contains("32 bytes"), "{refused:?}");
            check_with_any_key("", &ed25519(bytes));
        }
        check_with_any_key("", &ed25519(32));
    }
}
