//! The load of the bench where Node would be the bottleneck: thousands of WebSocket clients in one thread, and the
//! server that fan-out is compared with.
//!
//! `clients <url> <count> <file of first messages>` opens clients. Each sends the lines of the file, in which
//! `{client}` is its number, and takes what comes: the number behind `"n":` in a frame is what it shows from then
//! on. Commands on stdin, one a line, answers on stdout as JSON:
//!
//!     expect N    {"n":N,"ms":...} once every client shows N; ms since the command
//!     reconnect   closes all at once and opens all again; {"opened":count,"ms":...} once each shows something
//!     values      {"values":[...]} what each client shows
//!
//! `broadcast <count>` is a bare loop that sends a text to so many clients, one after the other: `send TEXT`.

#![allow(clippy::print_stdout)] // That is how it answers.

mod broadcast;
mod clients;

use std::error::Error;

use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

/// What a part of this program fails with.
type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["clients", url, count, file] => {
            let first = std::fs::read_to_string(file)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(clients::run(url, count.parse()?, &first))
        }
        ["broadcast", count] => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(broadcast::run(count.parse()?))
        }
        _ => {
            Err("usage: clients <url> <count> <file of first messages> | broadcast <count>".into())
        }
    }
}

/// Commands of the bench.
fn commands() -> Lines<BufReader<Stdin>> {
    BufReader::new(tokio::io::stdin()).lines()
}
