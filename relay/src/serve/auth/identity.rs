//! What `ctx.auth.getUserIdentity()` says of the holder of a token.

use pg_live_values::auth_config::AuthProvider;
use serde_json::{Map, Value as Json};

/// Standard claims and the names under which functions see them.
const STANDARD: [(&str, &str); 18] = [
    ("name", "name"),
    ("given_name", "givenName"),
    ("family_name", "familyName"),
    ("nickname", "nickname"),
    ("preferred_username", "preferredUsername"),
    ("profile", "profileUrl"),
    ("picture", "pictureUrl"),
    ("website", "websiteUrl"),
    ("email", "email"),
    ("email_verified", "emailVerified"),
    ("gender", "gender"),
    ("birthdate", "birthday"),
    ("zoneinfo", "timezone"),
    ("locale", "language"),
    ("phone_number", "phoneNumber"),
    ("phone_number_verified", "phoneNumberVerified"),
    ("address", "address"),
    ("updated_at", "updatedAt"),
];
/// Claims that say for whom and when a token is good, not who its holder is.
const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];
/// Changes at each refresh of a token, and would make each one another identity.
const VOLATILE: &str = "fva";

/// The identity, as a JSON object, of the holder of a token with these claims.
///
/// Claims of an OpenID Connect provider that the standard does not know keep their names and values;
/// all of a custom provider keep their names, and nested ones are named by their path.
pub(super) fn identity(
    provider: &AuthProvider,
    issuer: &str,
    subject: &str,
    claims: &Map<String, Json>,
) -> Json {
    let mut identity = Map::new();
    for (name, value) in claims {
        if REGISTERED.contains(&name.as_str()) || name == VOLATILE || value.is_null() {
            continue;
        }
        match provider {
            AuthProvider::Oidc { .. } => {
                let known = STANDARD.iter().find(|(claim, _)| claim == name);
                let name = known.map_or(name.as_str(), |(_, name)| *name);
                identity.insert(name.to_owned(), value.clone());
            }
            AuthProvider::CustomJwt { .. } => flatten(&mut identity, name, value),
        }
    }
    // Last: no claim can take the place of these.
    identity.insert(
        "tokenIdentifier".into(),
        format!("{issuer}|{subject}").into(),
    );
    identity.insert("issuer".into(), issuer.into());
    identity.insert("subject".into(), subject.into());
    Json::Object(identity)
}

fn flatten(identity: &mut Map<String, Json>, path: &str, value: &Json) {
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                flatten(identity, &format!("{path}.{name}"), value);
            }
        }
        Json::Null => {}
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            identity.insert(path.to_owned(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use pg_live_values::auth_config::CustomAlgorithm;
    use serde_json::json;

    use super::*;

    fn of(provider: &AuthProvider, claims: &Json) -> Json {
        identity(provider, "https://a", "s", claims.as_object().unwrap())
    }

    #[test]
    fn of_an_oidc_token() {
        let provider = AuthProvider::Oidc {
            domain: "https://a".into(),
            application_id: "app".into(),
        };
        let claims = json!({
            "iss": "x", "sub": "y", "aud": "app", "exp": 1, "iat": 1, "nbf": 1, "jti": "j", "fva": [1],
            "given_name": "É", "email_verified": true, "updated_at": 7, "org": {"id": 1}, "locale": null,
            "tokenIdentifier": "stolen"
        });
        let expected = json!({
            "tokenIdentifier": "https://a|s", "issuer": "https://a", "subject": "s",
            "givenName": "É", "emailVerified": true, "updatedAt": 7, "org": {"id": 1}
        });
        assert_eq!(of(&provider, &claims), expected);
    }

    #[test]
    fn of_a_custom_token() {
        let provider = AuthProvider::CustomJwt {
            issuer: "https://a".into(),
            jwks: "https://a/keys".into(),
            algorithm: CustomAlgorithm::Es256,
            application_id: None,
        };
        let claims = json!({"given_name": "x", "properties": {"email": "e", "tags": [1], "in": {"n": 2}}, "fva": 1});
        let expected = json!({
            "tokenIdentifier": "https://a|s", "issuer": "https://a", "subject": "s",
            "given_name": "x", "properties.email": "e", "properties.tags": [1], "properties.in.n": 2
        });
        assert_eq!(of(&provider, &claims), expected);
    }
}
