//! The least that a fan-out costs: one text, sent to each client in turn.

use std::sync::Arc;

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::{Failed, commands};

type Sinks = Arc<Mutex<Vec<SplitSink<WebSocketStream<TcpStream>, Message>>>>;

/// Serves until its commands end.
pub(crate) async fn run(count: usize) -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!(r#"{{"port":{}}}"#, listener.local_addr()?.port());
    let sinks = Sinks::default();
    tokio::spawn(accept(listener, Arc::clone(&sinks)));
    let mut commands = commands();
    while let Some(line) = commands.next_line().await? {
        let Some(text) = line.strip_prefix("send ") else {
            continue;
        };
        let text = Utf8Bytes::from(text);
        let mut sinks = sinks.lock().await;
        if sinks.len() < count {
            return Err(format!("{} of {count} clients are there", sinks.len()).into());
        }
        for sink in sinks.iter_mut() {
            sink.send(Message::Text(text.clone())).await?;
        }
    }
    Ok(())
}

/// Greets each client, so that it has something to show, and reads what it sends.
async fn accept(listener: TcpListener, sinks: Sinks) -> Result<(), Failed> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let sinks = Arc::clone(&sinks);
        tokio::spawn(async move {
            let (mut sink, mut stream) = accept_async(stream).await?.split();
            sink.send(Message::text(r#"{"n":0}"#)).await?;
            sinks.lock().await.push(sink);
            while stream.next().await.transpose()?.is_some() {}
            Ok::<(), Failed>(())
        });
    }
}
