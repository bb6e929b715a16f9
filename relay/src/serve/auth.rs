//! Who is calling: nobody, or an administrator, who may act as a user.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use convex_sync_types::{AuthenticationToken, UserIdentityAttributes};
use pg_live_session::Authentication;
use sha2::{Digest, Sha256};

/// What a client with a user's token is told.
const NO_PROVIDER: &str = "No auth provider found matching the given token: this deployment has no \
    auth providers. Sign-in with tokens is not available yet";
const BAD_ADMIN_KEY: &str = "The admin key is not valid for this deployment. Use the key that \
    `pg-live dev` writes to .pg-live/env, or that was given to `pg-live serve`";

/// A caller that was let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) is_admin: bool,
    /// JSON object of the user.
    pub(crate) identity: Option<String>,
}

/// A caller that was not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// The holder of the deployment's admin key.
pub(crate) struct Gate<'a> {
    admin_key: Option<&'a str>,
}

impl<'a> Gate<'a> {
    pub(crate) fn new(admin_key: Option<&'a str>) -> Self {
        Self { admin_key }
    }

    /// Judges the token of a WebSocket's `Authenticate`.
    pub(crate) fn check_token(&self, token: AuthenticationToken) -> Authentication {
        match token {
            AuthenticationToken::None => Authentication::Anonymous,
            AuthenticationToken::User(_) => Authentication::Refused {
                message: NO_PROVIDER.into(),
            },
            AuthenticationToken::Admin(key, _) if !self.is_admin_key(&key) => {
                Authentication::Refused {
                    message: BAD_ADMIN_KEY.into(),
                }
            }
            AuthenticationToken::Admin(_, acting_as) => match admin_identity(acting_as) {
                Ok(identity) => Authentication::Admin {
                    acting_as: Some(identity),
                },
                Err(message) => Authentication::Refused { message },
            },
        }
    }

    /// Judges an `Authorization` header: none, `Bearer <jwt>`, or
    /// `Convex <key>[:<base64 of the JSON of the user to act as>]`.
    pub(crate) fn check_header(&self, header: Option<&str>) -> Result<Caller, Refused> {
        let Some(header) = header else {
            return Ok(Caller::default());
        };
        let Some((scheme, rest)) = header.split_once(' ') else {
            return Err(invalid("the Authorization header has no scheme"));
        };
        if scheme.eq_ignore_ascii_case("Bearer") {
            return Err(Refused {
                code: "NoAuthProvider",
                message: NO_PROVIDER.into(),
            });
        }
        if !scheme.eq_ignore_ascii_case("Convex") {
            return Err(invalid(
                "the Authorization header is neither Bearer nor Convex",
            ));
        }
        let (key, attributes) = match rest.trim().split_once(':') {
            Some((key, attributes)) => (key, Some(attributes)),
            None => (rest.trim(), None),
        };
        if !self.is_admin_key(key) {
            return Err(Refused {
                code: "BadAdminKey",
                message: BAD_ADMIN_KEY.into(),
            });
        }
        let acting_as = attributes
            .map(decode)
            .transpose()
            .map_err(|reason| invalid(&reason))?;
        Ok(Caller {
            is_admin: true,
            identity: Some(admin_identity(acting_as).map_err(|reason| invalid(&reason))?),
        })
    }

    /// Compares hashes, so that time tells nothing about the key.
    fn is_admin_key(&self, key: &str) -> bool {
        self.admin_key
            .is_some_and(|expected| Sha256::digest(expected) == Sha256::digest(key))
    }
}

fn invalid(reason: &str) -> Refused {
    Refused {
        code: "InvalidAuthHeader",
        message: format!("Could not parse the token: {reason}"),
    }
}

fn decode(attributes: &str) -> Result<UserIdentityAttributes, String> {
    let bytes = STANDARD
        .decode(attributes)
        .map_err(|error| error.to_string())?;
    let json: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    // Checked and completed: a user without tokenIdentifier gets one made of issuer and subject.
    UserIdentityAttributes::try_from(json).map_err(|error| error.to_string())
}

/// The identity by which the extension knows an administrator, who may call internal functions:
/// the user to act as, if any, with a mark that no user's token can carry.
fn admin_identity(acting_as: Option<UserIdentityAttributes>) -> Result<String, String> {
    let mut json = match acting_as {
        Some(user) => serde_json::Value::try_from(user).map_err(|error| error.to_string())?,
        None => serde_json::json!({}),
    };
    json["admin"] = true.into();
    Ok(json.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATE: Gate<'_> = Gate {
        admin_key: Some("app|0123"),
    };

    #[test]
    fn headers() {
        assert_eq!(GATE.check_header(None), Ok(Caller::default()));
        let admin = Caller {
            is_admin: true,
            identity: Some(r#"{"admin":true}"#.into()),
        };
        assert_eq!(GATE.check_header(Some("Convex app|0123")), Ok(admin));
        let user = STANDARD.encode(r#"{"issuer":"https://é","subject":"s"}"#);
        let acting = GATE
            .check_header(Some(&format!("Convex app|0123:{user}")))
            .unwrap();
        assert!(
            acting
                .identity
                .unwrap()
                .contains(r#""tokenIdentifier":"https://é|s""#)
        );
        let code = |header| GATE.check_header(Some(header)).unwrap_err().code;
        assert_eq!(code("Convex wrong"), "BadAdminKey");
        assert_eq!(code("Bearer abc"), "NoAuthProvider");
        assert_eq!(code("Basic abc"), "InvalidAuthHeader");
        assert_eq!(code("Convex app|0123:%%"), "InvalidAuthHeader");
        assert_eq!(code("nonsense"), "InvalidAuthHeader");
    }

    #[test]
    fn without_a_key_nobody_is_admin() {
        let gate = Gate::new(None);
        assert!(gate.check_header(Some("Convex ")).is_err());
        let token = AuthenticationToken::Admin(String::new(), None);
        assert!(matches!(
            gate.check_token(token),
            Authentication::Refused { .. }
        ));
    }

    #[test]
    fn tokens() {
        let none = GATE.check_token(AuthenticationToken::None);
        assert_eq!(none, Authentication::Anonymous);
        let admin = GATE.check_token(AuthenticationToken::Admin("app|0123".into(), None));
        let marked = Some(r#"{"admin":true}"#.into());
        assert_eq!(admin, Authentication::Admin { acting_as: marked });
        let user = GATE.check_token(AuthenticationToken::User("jwt".into()));
        assert!(matches!(user, Authentication::Refused { .. }));
    }
}
