//! Who is calling: nobody, a user with a token, or an administrator, who may act as a user.

mod identity;
mod keys;
mod token;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use convex_sync_types::{AuthenticationToken, UserIdentityAttributes};
use pg_live_session::Authentication;
use pg_live_values::auth_config::{self, AuthProvider};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use tracing::error;

use super::database::{Database, sql};
use super::sql_error::describe;
use keys::Keys;
use token::User;

const BAD_ADMIN_KEY: &str = "The admin key is not valid for this deployment. Use the key that \
    `pg-live dev` writes to .pg-live/env, or that was given to `pg-live serve`";
/// How long the providers of a deployment are taken to be the same.
const PROVIDERS_FRESH: Duration = Duration::from_secs(1);

/// A caller that was let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) is_admin: bool,
    /// What the extension is told of the caller, see [`envelope`].
    pub(crate) identity: Option<String>,
}

/// A caller that was not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// Judges callers.
pub(crate) struct Gate {
    admin_key: Option<String>,
    keys: Keys,
    providers: Mutex<Option<(Arc<[AuthProvider]>, Instant)>>,
}

impl Gate {
    /// `admin_key`: the key of the deployment's administrators; `None`: there are none.
    pub(crate) fn new(admin_key: Option<String>) -> Self {
        Self {
            admin_key,
            keys: Keys::default(),
            providers: Mutex::default(),
        }
    }

    /// Judges the token of a WebSocket's `Authenticate`.
    pub(crate) async fn check_token(
        &self,
        token: AuthenticationToken,
        database: &Database,
    ) -> Authentication {
        let judged = match token {
            AuthenticationToken::None => return Authentication::Anonymous,
            AuthenticationToken::User(token) => match self.check_user(&token, database).await {
                Ok(user) => {
                    return Authentication::User {
                        identity: envelope(false, Some(&user.identity)),
                        lasts_ms: user.expires_s.saturating_sub(now_s()).saturating_mul(1000),
                    };
                }
                Err(refused) => Err(refused.message),
            },
            AuthenticationToken::Admin(key, acting_as) if self.is_admin_key(&key) => {
                admin_identity(acting_as)
            }
            AuthenticationToken::Admin(..) => Err(BAD_ADMIN_KEY.into()),
        };
        match judged {
            Ok(identity) => Authentication::Admin {
                acting_as: Some(identity),
            },
            Err(message) => Authentication::Refused { message },
        }
    }

    /// Judges an `Authorization` header: none, `Bearer <token>`, or
    /// `Convex <key>[:<base64 of the JSON of the user to act as>]`.
    pub(crate) async fn check_header(
        &self,
        header: Option<&str>,
        database: &Database,
    ) -> Result<Caller, Refused> {
        match self.read_header(header)? {
            Credentials::Caller(caller) => Ok(caller),
            Credentials::Token(token) => {
                let user = self.check_user(token, database).await?;
                Ok(Caller {
                    is_admin: false,
                    identity: Some(envelope(false, Some(&user.identity))),
                })
            }
        }
    }

    fn read_header<'a>(&self, header: Option<&'a str>) -> Result<Credentials<'a>, Refused> {
        let Some(header) = header else {
            return Ok(Credentials::Caller(Caller::default()));
        };
        let Some((scheme, rest)) = header.split_once(' ') else {
            return Err(invalid("the Authorization header has no scheme"));
        };
        if scheme.eq_ignore_ascii_case("Bearer") {
            return Ok(Credentials::Token(rest.trim()));
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
        Ok(Credentials::Caller(Caller {
            is_admin: true,
            identity: Some(admin_identity(acting_as).map_err(|reason| invalid(&reason))?),
        }))
    }

    async fn check_user(&self, token: &str, database: &Database) -> Result<User, Refused> {
        // What is no token at all is told without the database.
        token::read(token)?;
        let providers = self.providers(database).await?;
        token::check(token, &providers, &self.keys, now_s()).await
    }

    /// The providers of the deployment in force.
    async fn providers(&self, database: &Database) -> Result<Arc<[AuthProvider]>, Refused> {
        if let Some((providers, since)) = &*self.known_providers()
            && since.elapsed() < PROVIDERS_FRESH
        {
            return Ok(Arc::clone(providers));
        }
        let providers: Arc<[AuthProvider]> = read_providers(database).await?.into();
        *self.known_providers() = Some((Arc::clone(&providers), Instant::now()));
        Ok(providers)
    }

    /// What is in there is whole even if a thread panicked with the lock.
    fn known_providers(&self) -> std::sync::MutexGuard<'_, Option<(Arc<[AuthProvider]>, Instant)>> {
        self.providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares hashes, so that time tells nothing about the key.
    fn is_admin_key(&self, key: &str) -> bool {
        self.admin_key
            .as_ref()
            .is_some_and(|expected| Sha256::digest(expected) == Sha256::digest(key))
    }
}

/// What an `Authorization` header holds.
#[derive(Debug, PartialEq, Eq)]
enum Credentials<'a> {
    /// Nothing, or an administrator's key.
    Caller(Caller),
    /// A user's token, not judged yet.
    Token(&'a str),
}

async fn read_providers(database: &Database) -> Result<Vec<AuthProvider>, Refused> {
    let unavailable = || Refused {
        code: "AuthConfigNotAvailable",
        message: "The deployment's auth providers cannot be read now; try again".into(),
    };
    let connection = database.queries.take().await.map_err(|_| unavailable())?;
    let row = connection
        .client
        .query_typed_one(sql::AUTH_CONFIG, &[])
        .await;
    let config = row.and_then(|row| row.try_get::<_, Option<String>>(0));
    let config = config.map_err(|error| {
        error!(
            error = describe(&error),
            "the auth providers cannot be read"
        );
        unavailable()
    })?;
    connection.give_back();
    let Some(config) = config else {
        return Ok(Vec::new());
    };
    auth_config::parse(&config).map_err(|error| {
        error!(%error, "the auth providers of the deployment cannot be understood");
        unavailable()
    })
}

/// Seconds since 1970.
fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
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
    let json: Json = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    // Checked and completed: a user without tokenIdentifier gets one made of issuer and subject.
    UserIdentityAttributes::try_from(json).map_err(|error| error.to_string())
}

/// The identity of an administrator who acts as the user with these attributes.
pub(crate) fn acting_as(attributes: Json) -> Result<String, String> {
    let user = UserIdentityAttributes::try_from(attributes).map_err(|error| error.to_string())?;
    admin_identity(Some(user))
}

/// The identity of an administrator, who may call internal functions and act as a user.
fn admin_identity(acting_as: Option<UserIdentityAttributes>) -> Result<String, String> {
    let user = acting_as
        .map(Json::try_from)
        .transpose()
        .map_err(|error| error.to_string())?;
    Ok(envelope(true, user.as_ref()))
}

/// What the extension is told of a caller. The mark of administrators is beside the user, so that
/// nothing that a user's token says can look like it.
fn envelope(is_admin: bool, user: Option<&Json>) -> String {
    json!({ "admin": is_admin, "user": user }).to_string()
}

/// See [`super::any_input`].
pub(crate) fn parse_anything(text: &str) {
    let gate = Gate::new(Some("app|key".into()));
    if let Ok(Credentials::Token(token)) = gate.read_header(Some(text)) {
        let _ = token::read(token);
    }
    let _ = token::read(text);
    if let Ok(json) = serde_json::from_str::<Json>(text) {
        token::take_any_claims(&json);
        let _ = acting_as(json);
    }
}

/// See [`super::any_input`].
pub(crate) fn parse_any_keys(keys: &str, token: &str) {
    for key in keys::any_of(keys) {
        token::check_with_any_key(token, &key);
    }
}

/// What a token that nobody judges makes of a session; it lasts as long as its text.
pub(crate) fn any_authentication(token: AuthenticationToken) -> Authentication {
    match token {
        AuthenticationToken::None => Authentication::Anonymous,
        AuthenticationToken::User(token) => Authentication::User {
            identity: envelope(false, None),
            lasts_ms: token.len() as u64,
        },
        AuthenticationToken::Admin(_, user) => match admin_identity(user) {
            Ok(identity) => Authentication::Admin {
                acting_as: Some(identity),
            },
            Err(message) => Authentication::Refused { message },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(Some("app|0123".into()))
    }

    #[test]
    fn headers() {
        let gate = gate();
        let nobody = Credentials::Caller(Caller::default());
        assert_eq!(gate.read_header(None), Ok(nobody));
        let admin = Credentials::Caller(Caller {
            is_admin: true,
            identity: Some(r#"{"admin":true,"user":null}"#.into()),
        });
        assert_eq!(gate.read_header(Some("Convex app|0123")), Ok(admin));
        let user = STANDARD.encode(r#"{"issuer":"https://é","subject":"s"}"#);
        let header = format!("Convex app|0123:{user}");
        let Ok(Credentials::Caller(acting)) = gate.read_header(Some(&header)) else {
            panic!("not let in");
        };
        let identity = acting.identity.unwrap();
        assert!(identity.contains(r#""tokenIdentifier":"https://é|s""#));
        let token = gate.read_header(Some("bearer abc "));
        assert_eq!(token, Ok(Credentials::Token("abc")));
        let code = |header| gate.read_header(Some(header)).unwrap_err().code;
        assert_eq!(code("Convex wrong"), "BadAdminKey");
        assert_eq!(code("Basic abc"), "InvalidAuthHeader");
        assert_eq!(code("Convex app|0123:%%"), "InvalidAuthHeader");
        assert_eq!(code("nonsense"), "InvalidAuthHeader");
    }

    #[test]
    fn without_a_key_nobody_is_admin() {
        let gate = Gate::new(None);
        assert!(gate.read_header(Some("Convex ")).is_err());
        assert!(!gate.is_admin_key(""));
    }
}
