//! The keys of providers: fetched from their addresses, kept, fetched anew when they rotate.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use pg_live_values::auth_config::{AuthProvider, normalized_issuer};
use serde::Deserialize;
use tokio::sync::Mutex as AsyncMutex;

/// How long fetched keys are used without a look at their source.
const FRESH: Duration = Duration::from_secs(600);
/// A source is asked at most this often, whatever key ids tokens name.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a source may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Why the keys of a provider are not at hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// The provider's own description was not to be had.
    #[error("could not find out where the keys of {domain} are: {reason}")]
    Discovery {
        /// As configured.
        domain: String,
        /// What went wrong.
        reason: String,
    },
    /// The keys were not to be had.
    #[error("could not get the keys at {url}: {reason}")]
    Fetch {
        /// Where they should be.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// There is no such key.
    #[error("could not find the token's key: none at {url} has the kid {kid:?}")]
    Unknown {
        /// Where the keys are.
        url: String,
        /// The key id of the token.
        kid: String,
    },
    /// The token does not say which key it is signed with.
    #[error("could not parse the token: its header has no `kid`, and its issuer has several keys")]
    NoKid,
}

/// All keys that were fetched, by the address that a provider names.
#[derive(Default)]
pub(crate) struct Keys {
    sources: Mutex<HashMap<String, Arc<AsyncMutex<Source>>>>,
}

/// One source of keys. Whoever needs it while it is fetched waits for that.
#[derive(Default)]
struct Source {
    set: Option<(JwkSet, Instant)>,
    asked: Option<Instant>,
    failure: Option<KeyError>,
}

impl Keys {
    /// The key of a provider by the id that a token names.
    pub(crate) async fn find(
        &self,
        provider: &AuthProvider,
        kid: Option<&str>,
    ) -> Result<Jwk, KeyError> {
        let address = address(provider);
        let source = {
            let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(sources.entry(address.clone()).or_default())
        };
        let mut source = source.lock().await;
        let is_fresh = matches!(&source.set, Some((_, since)) if since.elapsed() < FRESH);
        let known = source.key(kid);
        if is_fresh && let Some(key) = known {
            return Ok(key);
        }
        if source.asked.is_none_or(|asked| asked.elapsed() >= PAUSE) {
            source.asked = Some(Instant::now());
            match fetch(provider.clone()).await {
                Ok(set) => {
                    source.set = Some((set, Instant::now()));
                    source.failure = None;
                }
                // What was fetched before still serves: the source may be away for a moment.
                Err(error) => source.failure = Some(error),
            }
        }
        match (source.key(kid), source.failure.clone()) {
            (Some(key), _) => Ok(key),
            (None, Some(failure)) => Err(failure),
            (None, None) => Err(match kid {
                Some(kid) => KeyError::Unknown {
                    url: address,
                    kid: kid.to_owned(),
                },
                None => KeyError::NoKid,
            }),
        }
    }
}

impl Source {
    fn key(&self, kid: Option<&str>) -> Option<Jwk> {
        let (set, _) = self.set.as_ref()?;
        match (kid, set.keys.as_slice()) {
            (Some(kid), _) => set.find(kid).cloned(),
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        }
    }
}

/// Where to begin to look for the keys.
fn address(provider: &AuthProvider) -> String {
    match provider {
        AuthProvider::Oidc { domain, .. } => format!(
            "{}/.well-known/openid-configuration",
            normalized_issuer(domain)
        ),
        AuthProvider::CustomJwt { jwks, .. } => jwks.clone(),
    }
}

/// What an OpenID Connect provider says of itself.
#[derive(Deserialize)]
struct Description {
    issuer: String,
    jwks_uri: String,
}

async fn fetch(provider: AuthProvider) -> Result<JwkSet, KeyError> {
    let begin = address(&provider);
    let url = match &provider {
        AuthProvider::CustomJwt { .. } => begin,
        AuthProvider::Oidc { domain, .. } => {
            let failed = |reason: String| KeyError::Discovery {
                domain: domain.clone(),
                reason,
            };
            let text = get(begin.clone()).await.map_err(failed)?;
            let description: Description = serde_json::from_str(&text).map_err(|error| {
                failed(format!("{begin} does not describe a provider: {error}"))
            })?;
            if normalized_issuer(&description.issuer) != normalized_issuer(domain) {
                let reason = format!("{begin} describes another issuer, {}", description.issuer);
                return Err(failed(reason));
            }
            description.jwks_uri
        }
    };
    let failed = |reason: String| KeyError::Fetch {
        url: shown(&url),
        reason,
    };
    let text = get(url.clone()).await.map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| failed(format!("that is no key set: {error}")))
}

/// A URL as errors name it: the data of a data URL is of no use there.
fn shown(url: &str) -> String {
    match url.split_once(',') {
        Some((head, _)) if head.starts_with("data:") => format!("{head},..."),
        _ => url.to_owned(),
    }
}

/// The text at a URL.
async fn get(url: String) -> Result<String, String> {
    if let Some(data) = url.strip_prefix("data:") {
        return data_of(data);
    }
    tokio::task::spawn_blocking(move || get_by_http(&url))
        .await
        .map_err(|_| "the request was given up".to_owned())?
}

/// The data of a `data:` URL, which follows `data:`.
fn data_of(url: &str) -> Result<String, String> {
    let (kind, data) = url
        .split_once(',')
        .ok_or("the data URL has no comma before its data")?;
    let bytes = if kind.ends_with(";base64") {
        STANDARD.decode(data).map_err(|error| error.to_string())?
    } else {
        percent_encoding::percent_decode_str(data).collect()
    };
    String::from_utf8(bytes).map_err(|_| "the data URL does not hold text".to_owned())
}

fn get_by_http(url: &str) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("pg-live/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let response = agent
        .get(url)
        .header("accept", "application/json, application/jwk-set+json")
        .call()
        .map_err(|error| error.to_string())?;
    let mut text = String::new();
    let mut body = response
        .into_body()
        .into_reader()
        .take(MAX_ANSWER_BYTES + 1);
    body.read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_ANSWER_BYTES {
        return Err(format!(
            "the answer is longer than {MAX_ANSWER_BYTES} bytes"
        ));
    }
    Ok(text)
}

/// The keys that any text holds, itself or as a `data:` URL.
pub(super) fn any_of(text: &str) -> Vec<Jwk> {
    let data = text.strip_prefix("data:").map(data_of);
    let text = data.and_then(Result::ok).unwrap_or_else(|| text.to_owned());
    let _ = serde_json::from_str::<Description>(&text);
    let set = serde_json::from_str::<JwkSet>(&text);
    set.map_or_else(|_| Vec::new(), |set| set.keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls() {
        let text = r#"{"keys":[]}"#;
        let encoded = STANDARD.encode(text);
        assert_eq!(
            data_of(&format!("application/json;base64,{encoded}")).unwrap(),
            text
        );
        assert_eq!(
            data_of("text/plain;charset=utf-8,%7B%22keys%22%3A[]}").unwrap(),
            text
        );
        assert!(data_of("no comma").unwrap_err().contains("comma"));
        assert!(data_of(";base64,%").is_err());
        assert_eq!(
            shown("data:application/json,{}"),
            "data:application/json,..."
        );
    }
}
