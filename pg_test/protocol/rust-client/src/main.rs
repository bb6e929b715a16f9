//! Does what lines of JSON on standard input say with the crate `convex`, and writes what comes of it:
//! `{"id":1,"op":"query","path":"a:b","args":{}}` -> `{"id":1,"value":...}`, `{"id":1,"error":...}` or
//! `{"id":1,"convexError":...}`; a subscription writes a line for each of its results.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use convex::{ConvexClient, FunctionResult, Value};
use futures_util::StreamExt;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = std::env::args().nth(1).context("usage: pg-live-protocol-client URL")?;
    let client = ConvexClient::new(&url).await?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let order: Json = serde_json::from_str(&line)?;
        let client = client.clone();
        tokio::spawn(async move {
            let id = order["id"].clone();
            if let Err(error) = carry_out(client, &order).await {
                say(&id, &json!({ "broken": format!("{error:#}") }));
            }
        });
    }
    Ok(())
}

async fn carry_out(mut client: ConvexClient, order: &Json) -> Result<()> {
    let id = &order["id"];
    let text = |name: &str| order[name].as_str().with_context(|| format!("{name} is missing"));
    match text("op")? {
        "query" => tell(id, client.query(text("path")?, args(order)?).await?),
        "mutation" => tell(id, client.mutation(text("path")?, args(order)?).await?),
        "action" => tell(id, client.action(text("path")?, args(order)?).await?),
        "subscribe" => {
            let mut results = client.subscribe(text("path")?, args(order)?).await?;
            while let Some(result) = results.next().await {
                tell(id, result);
            }
        }
        "auth" => {
            client.set_auth(order["token"].as_str().map(str::to_owned)).await;
            say(id, &json!({ "value": null }));
        }
        "admin" => {
            client.set_admin_auth(text("key")?.to_owned(), None).await;
            say(id, &json!({ "value": null }));
        }
        other => bail!("there is no {other}"),
    }
    Ok(())
}

fn args(order: &Json) -> Result<BTreeMap<String, Value>> {
    match Value::try_from(order["args"].clone())? {
        Value::Object(args) => Ok(args),
        other => bail!("arguments are no object: {other:?}"),
    }
}

fn tell(id: &Json, result: FunctionResult) {
    say(id, &match result {
        FunctionResult::Value(value) => json!({ "value": Json::from(value) }),
        FunctionResult::ErrorMessage(error) => json!({ "error": error }),
        FunctionResult::ConvexError(error) => {
            json!({ "error": error.message, "convexError": Json::from(error.data) })
        }
    });
}

fn say(id: &Json, what: &Json) {
    let mut line = what.clone();
    line["id"] = id.clone();
    println!("{line}");
}
