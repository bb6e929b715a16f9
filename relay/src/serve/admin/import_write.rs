//! Writing imported documents: all of them in one transaction.

use std::collections::BTreeMap;
use std::fs::File;

use pg_live_values::Value;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::{Receiver, channel};
use tokio_postgres::types::Json as SqlJson;
use tokio_postgres::{Client, GenericClient};

use super::import::{Request, tell};
use super::import_files::{Batch, Format, read};
use super::owner;

/// Batches that wait for the database.
const WAITING: usize = 4;
/// Documents between two words on how far it is.
const PROGRESS: i64 = 5_000;

/// What becomes of documents that are there.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) enum Mode {
    /// There must be none.
    RequireEmpty,
    /// They stay.
    Append,
    /// Those of the tables of the import go.
    Replace,
    /// All go.
    ReplaceAll,
}

/// The state of an import that is under way.
pub(super) fn in_progress(message: &str) -> Json {
    json!({"state": "in_progress", "progress_message": message, "checkpoint_messages": []})
}

/// How many documents each table has.
pub(super) async fn counts(client: &impl GenericClient) -> Result<BTreeMap<String, i64>, String> {
    let failed = |error| owner::refusal(error).message().to_owned();
    let rows = client
        .query(
            "SELECT name, pg_catalog.format('SELECT pg_catalog.count(*) FROM %I.%I', schema, relation) \
             FROM live.tables WHERE component = ''",
            &[],
        )
        .await
        .map_err(failed)?;
    let mut counts = BTreeMap::new();
    for row in &rows {
        let (name, sql): (String, String) = (
            row.try_get(0).map_err(failed)?,
            row.try_get(1).map_err(failed)?,
        );
        let count = client.query_one(&sql, &[]).await.map_err(failed)?;
        counts.insert(name, count.try_get(0).map_err(failed)?);
    }
    Ok(counts)
}

/// Imports a file; returns how many documents were written, in the encoding of the protocol. `teller` says how far
/// it is.
pub(super) async fn write(
    writer: &mut Client,
    teller: &Client,
    id: &str,
    file: File,
    request: &Request,
) -> Result<Json, String> {
    let failed = |error| owner::refusal(error).message().to_owned();
    let transaction = writer.transaction().await.map_err(failed)?;
    let tables = tables_of(&file, request).await?;
    let present = counts(&transaction).await?;
    let mut numbers = BTreeMap::new();
    for (name, number) in &tables {
        let here = present.get(name).copied().unwrap_or(0);
        if request.mode == Mode::RequireEmpty && here > 0 {
            return Err(format!("Table \"{name}\" has got documents meanwhile"));
        }
        let replace = matches!(request.mode, Mode::Replace | Mode::ReplaceAll);
        let asked = number.and_then(|number| i32::try_from(number).ok());
        let row = transaction
            .query_one(
                "SELECT live.import_table($1, $2, $3)",
                &[name, &asked, &replace],
            )
            .await
            .map_err(failed)?;
        let given: i32 = row.try_get(0).map_err(failed)?;
        if let Some(number) = number {
            numbers.insert(number.to_string(), given);
        }
    }
    if request.mode == Mode::ReplaceAll {
        for name in present
            .keys()
            .filter(|name| tables.iter().all(|(t, _)| t != *name))
        {
            let none: Option<i32> = None;
            transaction
                .execute("SELECT live.import_table($1, $2, true)", &[name, &none])
                .await
                .map_err(failed)?;
        }
    }
    let (batches, to_write) = channel(WAITING);
    let (format, table) = (request.format, request.table_name.clone());
    let reader = tokio::task::spawn_blocking(move || {
        read(file, format, table.as_deref(), &mut |batch| {
            batches.blocking_send(batch).is_ok()
        })
    });
    let numbers = json!(numbers);
    let integers = request.format == Format::Zip;
    let count = insert(&transaction, (teller, id), to_write, &numbers, integers).await?;
    reader.await.map_err(|error| error.to_string())??;
    transaction.commit().await.map_err(failed)?;
    Ok(serde_json::from_str(&Value::Int64(count).to_encoded()).unwrap_or_default())
}

/// The tables in a file, with the numbers that they had.
async fn tables_of(file: &File, request: &Request) -> Result<Vec<(String, Option<u32>)>, String> {
    let file = file.try_clone().map_err(|error| error.to_string())?;
    let (format, table) = (request.format, request.table_name.clone());
    let found = tokio::task::spawn_blocking(move || {
        let mut tables = Vec::new();
        read(file, format, table.as_deref(), &mut |batch| {
            if let Batch::Table { name, number } = batch {
                tables.push((name, number));
            }
            true
        })?;
        Ok::<_, String>(tables)
    });
    found.await.map_err(|error| error.to_string())?
}

async fn insert(
    transaction: &impl GenericClient,
    (teller, id): (&Client, &str),
    mut batches: Receiver<Batch>,
    numbers: &Json,
    integers: bool,
) -> Result<i64, String> {
    let failed = |error| owner::refusal(error).message().to_owned();
    let (mut count, mut told) = (0, 0);
    let mut table = String::new();
    while let Some(batch) = batches.recv().await {
        let documents = match batch {
            Batch::Table { name, .. } => {
                table = name;
                continue;
            }
            Batch::Documents(documents) => documents,
        };
        let row = transaction
            .query_one(
                "SELECT live.import_documents($1, $2, $3, $4)",
                &[&table, &documents, &SqlJson(numbers), &integers],
            )
            .await
            .map_err(failed)?;
        count += row.try_get::<_, i64>(0).map_err(failed)?;
        if count - told >= PROGRESS {
            told = count;
            let message = format!("Importing \"{table}\" ({count} documents)");
            tell(teller, id, &in_progress(&message)).await;
        }
    }
    Ok(count)
}
