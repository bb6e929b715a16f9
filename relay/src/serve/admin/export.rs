//! Exports: `POST /api/export/request/zip`, `GET /api/export/zip/{start}`.
//!
//! Nothing is kept: the zip is made while it is downloaded, at one snapshot, so any relay has it.

use std::io::{self, Write};
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::poll_fn;
use pg_live_values::Value;
use pg_live_values::json::Format;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as JsonValue, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_postgres::Client;
use tokio_postgres::types::Json as SqlJson;
use tracing::warn;
use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;

use super::{admit, owner};
use crate::serve::Relay;
use crate::serve::http_error::ApiError;

/// Pages and pieces of the zip that wait for who takes them.
const WAITING: usize = 4;
/// Bytes of a piece of the zip.
const PIECE_BYTES: usize = 64 << 10;
/// What the zip says of itself.
const README: &str = "An export of a pg_live deployment, in the form of Convex's snapshot exports.\n\
    Each folder is a table: documents.jsonl has a document on each line. Import it by\n\
    `npx convex import <file>.zip`.\n";

/// `POST /api/export/request/zip`: it can be had at once.
pub(super) async fn request(
    State(relay): State<Arc<Relay>>,
    headers: HeaderMap,
) -> Result<Json<JsonValue>, ApiError> {
    admit(&relay, &headers, None).await?;
    // Whoever may not download it is told now.
    drop(owner::connect(&relay).await?);
    Ok(Json(json!({})))
}

/// What goes into the zip.
enum Part {
    /// The next file.
    File(String),
    /// A piece of it.
    Text(String),
    /// It is complete.
    End,
}

/// `GET /api/export/zip/{start}`
pub(super) async fn download(
    State(relay): State<Arc<Relay>>,
    Path(start): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    admit(&relay, &headers, None).await?;
    let client = owner::connect(&relay).await?;
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .map_err(owner::refusal)?;
    let (parts, to_pack) = channel(WAITING);
    let (pieces, mut body) = channel(WAITING);
    relay.tasks.spawn(async move {
        if let Err(error) = read(&client, &parts).await {
            // Without its end the zip is broken, and the command line says so.
            warn!(error = error.message(), "an export was given up");
        }
    });
    tokio::task::spawn_blocking(move || {
        if let Err(error) = pack(to_pack, &pieces) {
            warn!(%error, "an export was given up");
        }
    });
    let digits: String = start.chars().filter(char::is_ascii_digit).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=snapshot_{digits}.zip"),
        ),
    ];
    let body = Body::from_stream(poll_fn(move |context| body.poll_recv(context)));
    Ok((headers, body).into_response())
}

#[derive(Deserialize)]
struct Tables {
    page: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    number: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Documents {
    page: Vec<Box<RawValue>>,
    is_done: bool,
    continue_cursor: String,
}

/// Reads everything at the snapshot of the transaction.
async fn read(client: &Client, parts: &Sender<Part>) -> Result<(), ApiError> {
    let gone = |_| ApiError::database("the download was broken off");
    let put = async |part| parts.send(part).await.map_err(gone);
    put(Part::File("README.md".into())).await?;
    put(Part::Text(README.into())).await?;
    let Tables { page: tables } = ask(client, "_system/cli/tables", &json!({})).await?;
    put(Part::File("_tables/documents.jsonl".into())).await?;
    for Table { name, number } in &tables {
        let line = json!({"name": name, "id": number});
        put(Part::Text(format!("{line}\n"))).await?;
    }
    for Table { name, .. } in &tables {
        put(Part::File(format!("{name}/documents.jsonl"))).await?;
        let mut cursor = None;
        loop {
            let options = json!({"cursor": cursor, "numItems": 1000});
            let args = json!({"table": name, "order": "asc", "paginationOpts": options});
            let documents: Documents = ask(client, "_system/cli/tableData", &args).await?;
            let mut text = String::new();
            for document in &documents.page {
                let value =
                    Value::parse_encoded(document.get()).map_err(|_| ApiError::internal())?;
                text.push_str(&Format::Export.write(&value));
                text.push('\n');
            }
            put(Part::Text(text)).await?;
            if documents.is_done {
                break;
            }
            cursor = Some(documents.continue_cursor);
        }
        put(Part::File(format!("{name}/generated_schema.jsonl"))).await?;
        put(Part::Text("\"uniform\"\n".into())).await?;
    }
    put(Part::End).await
}

async fn ask<T: for<'de> Deserialize<'de>>(
    client: &Client,
    path: &str,
    args: &JsonValue,
) -> Result<T, ApiError> {
    let row = client
        .query_one("SELECT live.query($1, $2)::text", &[&path, &SqlJson(args)])
        .await
        .map_err(owner::refusal)?;
    let text: &str = row.try_get(0).map_err(owner::refusal)?;
    serde_json::from_str(text).map_err(|_| ApiError::internal())
}

/// Makes the zip of what comes.
fn pack(mut parts: Receiver<Part>, pieces: &Sender<io::Result<Bytes>>) -> Result<(), ZipError> {
    let options = SimpleFileOptions::default().large_file(true);
    let output = Pieces {
        waiting: Vec::with_capacity(PIECE_BYTES),
        pieces: pieces.clone(),
    };
    let mut zip = ZipWriter::new_stream(output);
    while let Some(part) = parts.blocking_recv() {
        match part {
            Part::File(name) => zip.start_file(name, options)?,
            Part::Text(text) => zip.write_all(text.as_bytes())?,
            Part::End => {
                let mut output = zip.finish()?.into_inner();
                output.flush()?;
                return Ok(());
            }
        }
    }
    // What reads has failed. The connection is broken off before the writer, when it is dropped, makes a zip of what
    // there is: that would look whole.
    let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "the database was lost");
    // If nobody takes it any more that is as well.
    let _ = pieces.blocking_send(Err(broken()));
    Err(ZipError::Io(broken()))
}

/// Passes bytes on to the response.
struct Pieces {
    waiting: Vec<u8>,
    pieces: Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.waiting);
        if piece.is_empty() {
            return Ok(());
        }
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the download was broken off");
        self.pieces.blocking_send(Ok(piece.into())).map_err(gone)
    }
}
