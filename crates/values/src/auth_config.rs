//! The providers of tokens that a deployment trusts, as `auth.config.ts` exports them.

use serde_json::{Map, Value as Json};

/// The most providers of a deployment.
pub const MAX_PROVIDERS: usize = 100;

/// Who may sign tokens of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthProvider {
    /// An OpenID Connect provider: it tells by itself where its keys are.
    Oidc {
        /// Its address; what tokens name as their issuer.
        domain: String,
        /// The audience that a token must be for.
        application_id: String,
    },
    /// Tokens of one's own making.
    CustomJwt {
        /// What tokens name as their issuer.
        issuer: String,
        /// Where the keys are: an http(s) or data URL.
        jwks: String,
        /// How tokens are signed.
        algorithm: CustomAlgorithm,
        /// The audience that a token must be for; `None`: it does not matter.
        application_id: Option<String>,
    },
}

/// How a token of a custom provider is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

/// Why an export is not a list of providers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthConfigError(String);

/// Reads the JSON of the default export: `{"providers": [...]}`.
///
/// # Errors
/// Names the first provider with a mistake, and the mistake.
pub fn parse(text: &str) -> Result<Vec<AuthProvider>, AuthConfigError> {
    let error = |message: &str| AuthConfigError(message.to_owned());
    let json: Json = serde_json::from_str(text)
        .map_err(|_| error("the default export is not an object that can be written as JSON"))?;
    let providers = json
        .get("providers")
        .and_then(Json::as_array)
        .ok_or_else(|| {
            error("the default export has no list \"providers\"; expected { providers: [...] }")
        })?;
    if providers.len() > MAX_PROVIDERS {
        return Err(AuthConfigError(format!(
            "there are {} providers, more than {MAX_PROVIDERS}",
            providers.len()
        )));
    }
    providers
        .iter()
        .enumerate()
        .map(|(n, provider)| {
            provider_of(provider)
                .map_err(|reason| AuthConfigError(format!("providers[{n}]: {reason}")))
        })
        .collect()
}

fn provider_of(json: &Json) -> Result<AuthProvider, String> {
    let fields = json.as_object().ok_or("is not an object")?;
    if fields.contains_key("applicationId") {
        return Err("has \"applicationId\"; it is written \"applicationID\"".to_owned());
    }
    match fields.get("type") {
        None | Some(Json::Null) => oidc(fields),
        Some(Json::String(name)) if name == "oidc" => oidc(fields),
        Some(Json::String(name)) if name == "customJwt" => custom(fields),
        Some(other) => Err(format!(
            "type {other} is unknown; use \"oidc\" or \"customJwt\""
        )),
    }
}

fn oidc(fields: &Map<String, Json>) -> Result<AuthProvider, String> {
    only(fields, &["type", "domain", "applicationID"])?;
    Ok(AuthProvider::Oidc {
        domain: text(fields, "domain")?,
        application_id: text(fields, "applicationID")?,
    })
}

fn custom(fields: &Map<String, Json>) -> Result<AuthProvider, String> {
    let known = ["type", "issuer", "jwks", "algorithm", "applicationID"];
    only(fields, &known)?;
    let algorithm = match text(fields, "algorithm")?.as_str() {
        "RS256" => CustomAlgorithm::Rs256,
        "ES256" => CustomAlgorithm::Es256,
        other => {
            return Err(format!(
                "algorithm \"{other}\" is not supported; use \"RS256\" or \"ES256\""
            ));
        }
    };
    let jwks = text(fields, "jwks")?;
    if !["https://", "http://", "data:"]
        .iter()
        .any(|scheme| jwks.starts_with(scheme))
    {
        return Err("jwks is not a URL of https, http or data".to_owned());
    }
    let application_id = match fields.get("applicationID") {
        None | Some(Json::Null) => None,
        Some(_) => Some(text(fields, "applicationID")?),
    };
    Ok(AuthProvider::CustomJwt {
        issuer: text(fields, "issuer")?,
        jwks,
        algorithm,
        application_id,
    })
}

fn only(fields: &Map<String, Json>, known: &[&str]) -> Result<(), String> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!(
            "has \"{name}\", which is not one of {}",
            known.join(", ")
        )),
    }
}

fn text(fields: &Map<String, Json>, name: &str) -> Result<String, String> {
    match fields.get(name) {
        Some(Json::String(text)) if !text.is_empty() => Ok(text.clone()),
        None | Some(Json::Null) => Err(format!("\"{name}\" is missing")),
        Some(_) => Err(format!("\"{name}\" is not a text, or is empty")),
    }
}

/// An issuer in the form in which two are compared: with its scheme, without the slash at its end.
#[must_use]
pub fn normalized_issuer(issuer: &str) -> String {
    let issuer = issuer.trim_end_matches('/');
    if issuer.contains("://") {
        issuer.to_owned()
    } else {
        format!("https://{issuer}")
    }
}

impl AuthProvider {
    /// What tokens name as their issuer, normalized.
    #[must_use]
    pub fn issuer(&self) -> String {
        match self {
            AuthProvider::Oidc { domain, .. } => normalized_issuer(domain),
            AuthProvider::CustomJwt { issuer, .. } => normalized_issuer(issuer),
        }
    }

    /// The audience that tokens must be for.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        match self {
            AuthProvider::Oidc { application_id, .. } => Some(application_id),
            AuthProvider::CustomJwt { application_id, .. } => application_id.as_deref(),
        }
    }
}

impl std::fmt::Display for AuthProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, issuer) = match self {
            AuthProvider::Oidc { domain, .. } => ("OIDC", domain),
            AuthProvider::CustomJwt { issuer, .. } => ("CustomJWT", issuer),
        };
        write!(f, "{name}(issuer={issuer}, app_id=")?;
        match self.audience() {
            Some(audience) => write!(f, "{audience})"),
            None => write!(f, "any)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn both_kinds() {
        let text = r#"{"providers": [
            {"domain": "login.example.com/", "applicationID": "app"},
            {"type": "customJwt", "issuer": "https://me", "jwks": "data:,{}", "algorithm": "ES256"}
        ]}"#;
        let providers = parse(text).unwrap();
        let shown: Vec<String> = providers.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "OIDC(issuer=login.example.com/, app_id=app)",
                "CustomJWT(issuer=https://me, app_id=any)"
            ]
        );
        assert_eq!(providers[0].issuer(), "https://login.example.com");
        assert_eq!(providers[1].audience(), None);
        assert_eq!(parse(r#"{"providers": []}"#), Ok(Vec::new()));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(reason("null").contains("no list \"providers\""));
        assert!(reason("undefined").contains("not an object"));
        let one = |provider: &str| reason(&format!(r#"{{"providers": [{provider}]}}"#));
        assert_eq!(
            one(r#"{"domain": "https://a", "applicationId": "x"}"#),
            "providers[0]: has \"applicationId\"; it is written \"applicationID\""
        );
        assert!(one(r#"{"domain": "https://a"}"#).contains("\"applicationID\" is missing"));
        assert!(one(r#"{"type": "saml"}"#).contains("\"saml\" is unknown"));
        assert!(one("7").contains("is not an object"));
        let custom = |rest: &str| {
            one(&format!(
                r#"{{"type": "customJwt", "issuer": "i", {rest}}}"#
            ))
        };
        assert!(custom(r#""jwks": "file:///x", "algorithm": "RS256""#).contains("not a URL"));
        assert!(
            custom(r#""jwks": "https://x", "algorithm": "HS256""#).contains("\"HS256\" is not")
        );
        assert!(custom(r#""jwks": "https://x""#).contains("\"algorithm\" is missing"));
        assert!(custom(r#""jwsk": "https://x""#).contains("has \"jwsk\""));
    }
}
