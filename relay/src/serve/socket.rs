//! The socket of one client: writes what is queued, says of each message when it has left, pings in silence.
//!
//! Reading and writing are one task: thousands of clients cost little memory, and a message of many costs each one
//! wake-up.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{Sink, StreamExt};
use tokio::time::Instant;

use super::wire;

/// A client hears something at least this often: it gives a silent server up after 60 s, and
/// browsers do not show it pings of the WebSocket layer.
const PING_AFTER: Duration = Duration::from_secs(25);
/// A client that does not take a frame for so long is gone.
pub(super) const SEND_PATIENCE: Duration = Duration::from_secs(60);

/// A client that was told of the end has so long to say so too. To close with something of it unread would be a reset,
/// and what it has not taken yet might be lost on the way.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What happened at the socket.
pub(super) enum Happened {
    /// The oldest message that was put has left.
    Sent,
    Heard(Message),
    /// The client has been told to leave: [`Socket::deadline`] is another one now.
    Parted,
    /// It is gone, or was closed as it was asked to be.
    Ended,
}

/// What it means that a frame has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Nothing: a ping, or a part of a message.
    None,
    Sent,
    Ended,
    /// The client is to end the connection.
    Parted,
}

pub(super) struct Socket {
    socket: WebSocket,
    queue: VecDeque<(Message, Meaning)>,
    /// The frame that is on its way out.
    writing: Option<Meaning>,
    /// When the last frame began to be written.
    since: Instant,
    /// The client was told to leave: what it still sends is dropped until it ends the connection.
    said: bool,
}

impl Socket {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self {
            socket,
            queue: VecDeque::new(),
            writing: None,
            since: Instant::now(),
            said: false,
        }
    }

    /// Queues one message, in one frame or several. After the end it goes nowhere.
    pub(super) fn put(&mut self, frames: Vec<Utf8Bytes>) {
        if self.said {
            return;
        }
        let last = frames.len().saturating_sub(1);
        for (n, frame) in frames.into_iter().enumerate() {
            let meaning = if n == last {
                Meaning::Sent
            } else {
                Meaning::None
            };
            self.queue.push_back((Message::Text(frame), meaning));
        }
    }

    /// Queues a ping of the WebSocket layer, which every client answers by itself.
    pub(super) fn ask(&mut self) {
        if !self.said {
            let ping = Message::Ping(Vec::new().into());
            self.queue.push_back((ping, Meaning::None));
        }
    }

    /// Queues the end.
    pub(super) fn close(&mut self, code: u16, reason: &'static str) {
        self.queue
            .push_back((goodbye(code, reason), Meaning::Ended));
    }

    /// Queues the end of a connection that the client is to end: what it sends until then is dropped.
    pub(super) fn part(&mut self, code: u16, reason: &'static str) {
        self.queue
            .push_back((goodbye(code, reason), Meaning::Parted));
    }

    /// Forgets what has not left: nobody reads it any more.
    pub(super) fn give_up(&mut self) {
        self.queue.clear();
        self.writing = None;
    }

    /// What has happened. Frames are written in any case, and read if it is `listening`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        listening: bool,
    ) -> Poll<Happened> {
        if let Poll::Ready(happened) = self.poll_write(cx, now) {
            return Poll::Ready(happened);
        }
        while self.said {
            match self.socket.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Happened::Ended),
                Poll::Pending => return Poll::Pending,
            }
        }
        if !listening {
            return Poll::Pending;
        }
        match self.socket.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Happened::Heard(frame)),
            Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Happened::Ended),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes what can be written; what came of it. Pending, too, if nothing is left to write.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Happened> {
        loop {
            if let Some(meaning) = self.writing {
                match Pin::new(&mut self.socket).poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.writing = None,
                    Poll::Ready(Err(_)) => return Poll::Ready(Happened::Ended),
                    Poll::Pending => return Poll::Pending,
                }
                match meaning {
                    Meaning::None => {}
                    Meaning::Sent => return Poll::Ready(Happened::Sent),
                    Meaning::Ended => return Poll::Ready(Happened::Ended),
                    Meaning::Parted => {
                        self.said = true;
                        self.queue.clear();
                        self.since = now;
                        return Poll::Ready(Happened::Parted);
                    }
                }
            }
            if self.queue.is_empty() {
                return Poll::Pending;
            }
            match Pin::new(&mut self.socket).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Happened::Ended),
                Poll::Pending => return Poll::Pending,
            }
            if let Some((frame, meaning)) = self.queue.pop_front() {
                if Pin::new(&mut self.socket).start_send(frame).is_err() {
                    return Poll::Ready(Happened::Ended);
                }
                self.writing = Some(meaning);
                self.since = now;
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.writing.is_none() && self.queue.is_empty()
    }

    /// When [`Socket::on_time`] is to be called, if nothing is written before.
    pub(super) fn deadline(&self) -> Instant {
        self.since
            + if self.said {
                CLOSE_PATIENCE
            } else if self.is_idle() {
                PING_AFTER
            } else {
                SEND_PATIENCE
            }
    }

    /// Pings if nothing was written for long. Whether the client has taken nothing for too long.
    pub(super) fn on_time(&mut self, now: Instant) -> bool {
        if now < self.deadline() {
            return false;
        }
        if self.said || !self.is_idle() {
            return true;
        }
        self.since = now;
        let ping = Message::Text(Utf8Bytes::from_static(wire::PING));
        self.queue.push_back((ping, Meaning::None));
        false
    }
}

fn goodbye(code: u16, reason: &'static str) -> Message {
    let reason = Utf8Bytes::from_static(reason);
    Message::Close(Some(CloseFrame { code, reason }))
}
