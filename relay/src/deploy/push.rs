//! Sends a bundle to the database: the one deploy is in the extension, this only calls it.

use std::future::poll_fn;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_postgres::error::DbError;
use tokio_postgres::types::Json;
use tokio_postgres::{AsyncMessage, Client};

use super::{Error, Source};
use crate::postgres::Target;

/// What `live.deploy_start` says is left to do.
#[derive(Debug, Deserialize)]
struct Started {
    push: i64,
    #[serde(default)]
    unchanged: bool,
    #[serde(default)]
    statements: Vec<String>,
}

/// What a deploy changed.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// Number of the deployment now in force.
    #[serde(default)]
    pub deployment: i64,
    /// Whether the same source was in force before.
    #[serde(default)]
    pub unchanged: bool,
    /// Tables that were made.
    #[serde(default)]
    pub tables: Changes,
    /// Indexes that were built or dropped.
    #[serde(default)]
    pub indexes: Changes,
    /// All functions of the deployment.
    #[serde(default)]
    pub functions: Vec<String>,
    /// What is left to do now that it is in force.
    #[serde(default, skip_serializing)]
    statements: Vec<String>,
    /// Whether nothing is in force yet: `statements` are to be run first.
    #[serde(default, skip_serializing)]
    pending: bool,
}

/// What `live.deploy_abandon` says is left to do.
#[derive(Debug, Deserialize)]
struct Abandoned {
    #[serde(default)]
    statements: Vec<String>,
}

/// Names that a deploy added or removed.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// New ones.
    #[serde(default)]
    pub added: Vec<String>,
    /// Dropped ones.
    #[serde(default)]
    pub removed: Vec<String>,
}

/// Opens a connection for deploys and checks that its database can take one.
///
/// The connection's own task ends when the client is dropped.
///
/// # Errors
/// When the server cannot be reached, or the database is not UTF8 or has no extension.
pub(crate) async fn connect(url: &str) -> Result<Client, Error> {
    let client = connect_anywhere(url).await?;
    check(&client).await?;
    Ok(client)
}

/// As [`connect`], to a database that may lack anything.
///
/// # Errors
/// When the server cannot be reached.
pub(crate) async fn connect_anywhere(url: &str) -> Result<Client, Error> {
    open(url, None).await
}

/// As [`connect`], and passes on what the server tells beside its results.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn connect_with_notices(
    url: &str,
) -> Result<(Client, UnboundedReceiver<DbError>), Error> {
    let (sender, notices) = unbounded_channel();
    let client = open(url, Some(sender)).await?;
    check(&client).await?;
    Ok((client, notices))
}

async fn open(url: &str, notices: Option<UnboundedSender<DbError>>) -> Result<Client, Error> {
    let target = Target::parse(url).map_err(Error::Url)?;
    let (client, mut connection) = target.connect().await.map_err(Error::Connect)?;
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match (message, &notices) {
                (Ok(AsyncMessage::Notice(notice)), Some(notices)) => {
                    // The receiver may have lost interest.
                    let _ = notices.send(notice);
                }
                (Ok(_), _) => {}
                (Err(error), _) => {
                    tracing::debug!(%error, "the connection ended");
                    return;
                }
            }
        }
    });
    Ok(client)
}

/// Checks what a database must have before anything of ours can run in it.
async fn check(client: &Client) -> Result<(), Error> {
    let row = client
        .query_one(
            "SELECT current_database()::text, current_setting('server_encoding'),
                    EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_live')",
            &[],
        )
        .await
        .map_err(Error::sql)?;
    let (database, encoding, installed): (String, String, bool) =
        (row.get(0), row.get(1), row.get(2));
    if encoding != "UTF8" {
        return Err(Error::NotUtf8 { database, encoding });
    }
    if !installed {
        return Err(Error::NoExtension { database });
    }
    Ok(())
}

/// Settings of a connection for deploys: what is committed is seen at once, and if this program is
/// killed, the server does not go on building indexes for it.
pub(crate) const SETTINGS: &str = "SET default_transaction_isolation = 'read committed';
    SET client_connection_check_interval = '1s'; SET statement_timeout = 0; SET lock_timeout = 0";

/// Deploys `source` and switches to it; a failure leaves the running deployment as it was.
///
/// # Errors
/// What the extension says: a module that does not run, a schema that the data do not fit, ...
pub(super) async fn push(client: &Client, source: &Source) -> Result<Deployed, Error> {
    client.batch_execute(SETTINGS).await.map_err(Error::sql)?;
    let source = serde_json::to_value(source).map_err(Error::Encode)?;
    let row = client
        .query_one("SELECT live.deploy_start($1::json)", &[&Json(source)])
        .await
        .map_err(Error::sql)?;
    let started: Started = reply(row.get(0))?;
    if started.unchanged {
        tracing::debug!(push = started.push, "nothing changed");
    }
    match switch(client, &started).await {
        Ok(deployed) => {
            tidy(client, &deployed.statements).await;
            Ok(deployed)
        }
        Err(error) => {
            abandon(client, started.push, &error).await;
            Err(error)
        }
    }
}

async fn switch(client: &Client, started: &Started) -> Result<Deployed, Error> {
    for statement in &started.statements {
        // One by one and outside of a transaction: indexes are built without blocking writers.
        client.batch_execute(statement).await.map_err(Error::sql)?;
    }
    call_finish(client, started.push).await
}

async fn call_finish(client: &Client, push: i64) -> Result<Deployed, Error> {
    let row = client
        .query_one("SELECT live.deploy_finish($1)", &[&push])
        .await
        .map_err(Error::sql)?;
    reply(row.get(0))
}

/// Switches to a staged deployment and tidies up.
pub(super) async fn finish(client: &Client, push: i64) -> Result<Deployed, Error> {
    client.batch_execute(SETTINGS).await.map_err(Error::sql)?;
    let deployed = call_finish(client, push).await?;
    tidy(client, &deployed.statements).await;
    Ok(deployed)
}

/// Goes back to an earlier deployment: builds what it needs, then switches.
pub(super) async fn rollback(client: &Client, deployment: i64) -> Result<Deployed, Error> {
    client.batch_execute(SETTINGS).await.map_err(Error::sql)?;
    let row = client
        .query_one("SELECT live.rollback($1)", &[&deployment])
        .await
        .map_err(Error::sql)?;
    let rolled: Deployed = reply(row.get(0))?;
    if !rolled.pending {
        return Ok(rolled);
    }
    let started = Started {
        push: rolled.deployment,
        unchanged: false,
        statements: rolled.statements,
    };
    match switch(client, &started).await {
        Ok(deployed) => {
            tidy(client, &deployed.statements).await;
            Ok(deployed)
        }
        Err(error) => {
            abandon(client, started.push, &error).await;
            Err(error)
        }
    }
}

/// Removes what a failed deploy has built. What cannot be removed now, the next deploy removes.
async fn abandon(client: &Client, push: i64, why: &Error) {
    if let Error::Lost(_) = why {
        return;
    }
    let row = client
        .query_one(
            "SELECT live.deploy_abandon($1, $2)",
            &[&push, &why.to_string()],
        )
        .await
        .map_err(Error::sql);
    match row.and_then(|row| reply::<Abandoned>(row.get(0))) {
        Ok(abandoned) => tidy(client, &abandoned.statements).await,
        Err(error) => {
            tracing::warn!(%error, "what the failed deploy has built is left to the next")
        }
    }
}

/// Runs statements that nothing depends on: the next deploy repeats those that fail.
async fn tidy(client: &Client, statements: &[String]) {
    for statement in statements {
        if let Err(error) = client.batch_execute(statement).await.map_err(Error::sql) {
            tracing::warn!(%error, %statement, "left to the next deploy");
        }
    }
}

fn reply<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(Error::Decode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_the_extension_are_understood() {
        let started: Started =
            reply(serde_json::json!({"push": 12, "unchanged": false, "statements": ["SELECT 1"]}))
                .unwrap();
        assert_eq!((started.push, started.statements.len()), (12, 1));
        let deployed: Deployed = reply(serde_json::json!({
            "deployment": 3,
            "unchanged": false,
            "tables": {"added": ["messages"]},
            "indexes": {"added": ["messages.by_channel"], "removed": []},
            "functions": ["messages:list"]
        }))
        .unwrap();
        assert_eq!(deployed.tables.added, ["messages"]);
        assert_eq!(deployed.functions, ["messages:list"]);
    }
}
