//! Many clients that do as little as they can.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, LocalSet};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::{Failed, commands};

/// Handshakes under way at once when clients are opened for the first time.
const OPENED_AT_ONCE: usize = 64;

/// What the clients show.
struct Board {
    /// By client; -1: nothing yet.
    values: RefCell<Vec<f64>>,
    /// The number that is waited for, and how many show it.
    awaited: RefCell<(f64, usize)>,
    missing: RefCell<usize>,
    failure: RefCell<Option<String>>,
    changed: Notify,
}

impl Board {
    fn show(&self, client: usize, value: f64) {
        let mut values = self.values.borrow_mut();
        let Some(shown) = values.get_mut(client) else {
            return;
        };
        if *shown < 0.0 {
            *self.missing.borrow_mut() -= 1;
            if *self.missing.borrow() == 0 {
                self.changed.notify_one();
            }
        }
        let mut awaited = self.awaited.borrow_mut();
        if (value - awaited.0).abs() < 0.5 && (*shown - value).abs() >= 0.5 {
            awaited.1 += 1;
            if awaited.1 == values.len() {
                self.changed.notify_one();
            }
        }
        if let Some(shown) = values.get_mut(client) {
            *shown = value;
        }
    }

    fn fail(&self, client: usize, reason: &str) {
        let mut failure = self.failure.borrow_mut();
        failure.get_or_insert_with(|| format!("client {client}: {reason}"));
        self.changed.notify_one();
    }

    /// Waits until it is so, or a client has failed.
    async fn until(&self, is_so: impl Fn(&Self) -> bool) -> Result<(), Failed> {
        loop {
            if let Some(failure) = self.failure.borrow().as_ref() {
                return Err(failure.clone().into());
            }
            if is_so(self) {
                return Ok(());
            }
            self.changed.notified().await;
        }
    }
}

/// Opens clients and carries out commands until they end.
pub(crate) async fn run(url: &str, count: usize, first: &str) -> Result<(), Failed> {
    LocalSet::new().run_until(serve(url, count, first)).await
}

async fn serve(url: &str, count: usize, first: &str) -> Result<(), Failed> {
    let board = Rc::new(Board {
        values: RefCell::new(vec![-1.0; count]),
        awaited: RefCell::new((-1.0, 0)),
        missing: RefCell::new(count),
        failure: RefCell::new(None),
        changed: Notify::new(),
    });
    let mut clients = open(url, count, first, &board, OPENED_AT_ONCE);
    report_opened(&board, count, Instant::now()).await?;
    let mut commands = commands();
    while let Some(line) = commands.next_line().await? {
        let begun = Instant::now();
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("expect", n) => {
                let n: f64 = n.parse()?;
                let shown = board
                    .values
                    .borrow()
                    .iter()
                    .filter(|v| (**v - n).abs() < 0.5)
                    .count();
                *board.awaited.borrow_mut() = (n, shown);
                board
                    .until(|board| board.awaited.borrow().1 == count)
                    .await?;
                println!(
                    r#"{{"n":{n},"ms":{}}}"#,
                    begun.elapsed().as_secs_f64() * 1_000.0
                );
            }
            ("reconnect", _) => {
                for client in clients.drain(..) {
                    client.abort();
                }
                board.values.borrow_mut().fill(-1.0);
                *board.missing.borrow_mut() = count;
                clients = open(url, count, first, &board, count);
                report_opened(&board, count, begun).await?;
            }
            ("values", _) => println!(
                "{}",
                serde_json::json!({ "values": *board.values.borrow() })
            ),
            (unknown, _) => return Err(format!("there is no command {unknown:?}").into()),
        }
    }
    Ok(())
}

async fn report_opened(board: &Board, count: usize, since: Instant) -> Result<(), Failed> {
    board.until(|board| *board.missing.borrow() == 0).await?;
    println!(
        r#"{{"opened":{count},"ms":{}}}"#,
        since.elapsed().as_secs_f64() * 1_000.0
    );
    Ok(())
}

fn open(
    url: &str,
    count: usize,
    first: &str,
    board: &Rc<Board>,
    at_once: usize,
) -> Vec<JoinHandle<()>> {
    let places = Rc::new(Semaphore::new(at_once));
    let clients = (0..count).map(|number| {
        let first = first.replace("{client}", &number.to_string());
        let (url, board, places) = (url.to_owned(), Rc::clone(board), Rc::clone(&places));
        tokio::task::spawn_local(async move {
            if let Err(error) = client(&url, number, first, &board, &places).await {
                board.fail(number, &error.to_string());
            }
        })
    });
    clients.collect()
}

async fn client(
    url: &str,
    number: usize,
    first: String,
    board: &Board,
    places: &Semaphore,
) -> Result<(), Failed> {
    let place = places.acquire().await?;
    let address = url
        .trim_start_matches("ws://")
        .split('/')
        .next()
        .unwrap_or_default();
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(2 << 10);
    let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
    for line in first.lines() {
        socket.feed(Message::text(line)).await?;
    }
    socket.flush().await?;
    drop(first);
    let mut place = Some(place);
    while let Some(message) = socket.next().await.transpose()? {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(frame) => return Err(format!("the server closed: {frame:?}").into()),
            Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {
                continue;
            }
        };
        if let Some(value) = number_in(text.as_str()) {
            board.show(number, value);
            place = None;
        } else if text.contains("QueryFailed") || text.contains("FatalError") {
            return Err(text.as_str().chars().take(500).collect::<String>().into());
        }
    }
    drop(place);
    Err("the connection ended".into())
}

/// The number behind `"n":`.
fn number_in(text: &str) -> Option<f64> {
    let (_, rest) = text.rsplit_once(r#""n":"#)?;
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    rest.get(..end)?.trim().parse().ok()
}
