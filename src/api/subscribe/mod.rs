//! Live queries of a session of SQL, without a relay: `live.subscribe`, `live.stale`, `live.read`, `live.unsubscribe`,
//! `live.watch`.

mod query;
mod session;

use pgrx::{IntoDatum, pg_sys};

use crate::error::{Error, Result};
use crate::pg::function::{Call, sql_functions};
use crate::pg::session::{outer_user, search_path};
use crate::pg::shmem;

pub(super) use session::own_subscription;

use query::{Answer, Query};

sql_functions! {
    pg_live_subscribe = subscribe;
    pg_live_watch_text = watch_text;
    pg_live_read = read;
    pg_live_stale = stale;
    pg_live_unsubscribe = unsubscribe;
    pg_live_unsubscribe_all = unsubscribe_all;
}

/// `live.subscribe(path text, args json) -> (id, result)`
fn subscribe(call: &mut Call) -> Result<pg_sys::Datum> {
    let path: String = call.required(0, "path")?;
    let args: String = call.required(1, "args")?;
    shmem::memory()?;
    query::check_right(&path)?;
    begin(call, Query::Function { path, args })
}

/// `live.watch(query text) -> (id, result)`
fn watch_text(call: &mut Call) -> Result<pg_sys::Datum> {
    let text: String = call.required(0, "query")?;
    shmem::memory()?;
    let query = Query::Text {
        text,
        role: crate::pg::session::current_user(),
        search_path: search_path(),
    };
    begin(call, query)
}

fn begin(call: &mut Call, query: Query) -> Result<pg_sys::Datum> {
    let owner = session::attach()?;
    let Answer {
        result,
        not_live,
        registration,
    } = query.run()?;
    let result = result.map_err(|error| Error::Function {
        message: error.message,
        data: error.data,
    })?;
    if let Some(reason) = not_live {
        return Err(Error::FeatureNotSupported(query.refusal(&reason)));
    }
    let id = session::add(owner, query, registration)?;
    Ok(call.rows(vec![vec![id.into_datum(), result.into_datum()]]))
}

/// `live.read(id bigint) -> (result, error)`
fn read(call: &mut Call) -> Result<pg_sys::Datum> {
    let id: i64 = call.required(0, "id")?;
    shmem::memory()?;
    let query = session::query(id, outer_user())?;
    let owner = session::attach()?;
    let Answer {
        result,
        not_live,
        registration,
    } = query.run()?;
    session::renew(owner, id, registration);
    let result = match not_live {
        // The refusal is live: it goes when the reason goes.
        Some(reason) => Err(query.refusal(&reason)),
        None => result.map_err(|error| error.message),
    };
    let (result, error) = match result {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error)),
    };
    Ok(call.rows(vec![vec![
        result.and_then(IntoDatum::into_datum),
        error.and_then(IntoDatum::into_datum),
    ]]))
}

/// `live.stale() -> (id, query)`
fn stale(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    let stale = session::stale(outer_user());
    let rows = stale
        .into_iter()
        .map(|(id, query)| vec![id.into_datum(), query.into_datum()]);
    Ok(call.rows(rows.collect()))
}

/// `live.unsubscribe(id bigint) -> boolean`
fn unsubscribe(call: &mut Call) -> Result<pg_sys::Datum> {
    let id: i64 = call.required(0, "id")?;
    shmem::memory()?;
    let removed = session::remove(Some(id), outer_user());
    Ok(call.value(removed > 0))
}

/// `live.unsubscribe() -> bigint`
fn unsubscribe_all(call: &mut Call) -> Result<pg_sys::Datum> {
    shmem::memory()?;
    let removed = session::remove(None, outer_user());
    Ok(call.value(removed))
}
