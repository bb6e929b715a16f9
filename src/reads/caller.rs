//! As whom a client's SQL runs: a role that the relay's login may become, with the claims of the client's token.

use pgrx::pg_sys;
use serde_json::{Map, Value as Json};

use crate::functions::run::Caller;
use crate::gucs;
use crate::pg::session;

/// Whose rights a call has.
pub(super) struct Identity {
    /// Its role.
    pub(super) role: pg_sys::Oid,
    /// What `current_setting('request.jwt.claims')` is.
    pub(super) claims: String,
}

/// The role and claims of a call; the error is the message for the client.
pub(super) fn identify(caller: Caller, identity: Option<&str>) -> Result<Identity, String> {
    let mut claims: Map<String, Json> = match identity {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| format!("the caller's identity is no object: {error}"))?,
        None => Map::new(),
    };
    for (name, from) in [("sub", "subject"), ("iss", "issuer")] {
        if let Some(value) = claims.get(from).cloned() {
            claims.entry(name).or_insert(value);
        }
    }
    let role = match caller {
        Caller::Sql | Caller::Function => session::outer_user(),
        Caller::Client | Caller::Admin => {
            let name = role_name(&claims)?;
            let role = permitted(&name)?;
            claims.insert("role".to_owned(), name.into());
            role
        }
    };
    Ok(Identity {
        role,
        claims: Json::Object(claims).to_string(),
    })
}

fn role_name(claims: &Map<String, Json>) -> Result<String, String> {
    match claims.get("role") {
        Some(Json::String(role)) => Ok(role.clone()),
        Some(_) => Err("the claim `role` of the token is not a string".to_owned()),
        None => gucs::anonymous_role().ok_or_else(|| {
            "No role: the caller has no token with a claim `role`, and pg_live.anonymous_role is not set."
                .to_owned()
        }),
    }
}

/// Only roles that were granted to the relay's login, whatever a superuser could become.
fn permitted(name: &str) -> Result<pg_sys::Oid, String> {
    let refused = || {
        format!(
            "Role {name} cannot be used by clients: it must be granted to the relay's login, and be neither that \
             login nor a superuser."
        )
    };
    let role = session::role(name).map_err(|_| refused())?;
    if session::may_become(role) {
        Ok(role)
    } else {
        Err(refused())
    }
}
