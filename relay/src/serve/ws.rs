//! One WebSocket: carries events to its session and commands from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use convex_sync_types::AuthenticationToken;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use pg_live_session::sharing::{Hold, Told};
use pg_live_session::{
    Authentication, ClientMessage, Command, Event, Limits, Millis, Run, ServerMessage, Session, Sub,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, info};

use super::sharing::{self, News, Waiter};
use super::transaction::Open;
use super::wire::Heard;
use super::{Relay, mutations, wire};

/// A client hears something at least this often: it gives a silent server up after 60 s, and
/// browsers do not show it pings of the WebSocket layer.
const PING_AFTER: Duration = Duration::from_secs(25);
/// A client from which nothing comes, not even the answer to a ping, is gone.
const CLIENT_SILENCE: Duration = Duration::from_secs(120);
/// A client that does not take a message for so long is gone.
const SEND_PATIENCE: Duration = Duration::from_secs(60);
/// While so many runs wait to be executed nobody else is let in: clients come back later, each after a time of its own.
const MOST_WAITING: usize = 20_000;
/// The relay has too much to do; the client connects again, later.
const TRY_AGAIN_LATER: u16 = 1013;
/// The relay goes away; the client connects again.
const GOING_AWAY: u16 = 1001;

/// What the writing half of a socket is given.
enum Outgoing {
    /// One message, in one frame or several.
    Text(Vec<String>),
    Close {
        code: u16,
        reason: &'static str,
    },
}

/// Tells a client that there is no room for it now, in the words of the protocol.
async fn refuse(mut socket: WebSocket) {
    let reason = Utf8Bytes::from_static("TooManyConcurrentRequests");
    let close = Message::Close(Some(CloseFrame {
        code: TRY_AGAIN_LATER,
        reason,
    }));
    // It may have gone.
    let _ = timeout(SEND_PATIENCE, socket.send(close)).await;
}

/// Serves one client until it leaves.
/// `chunks`: whether it knows transitions in parts.
pub(crate) async fn serve(relay: Arc<Relay>, socket: WebSocket, chunks: bool) {
    if relay.executions.waiting() >= MOST_WAITING {
        relay.metrics.sessions_refused.add(1);
        return refuse(socket).await;
    }
    let (events, incoming) = unbounded_channel();
    let (sink, stream) = socket.split();
    let (outgoing, to_write) = unbounded_channel();
    relay.tasks.spawn(write(sink, to_write, events.clone()));
    let number = relay.sessions.open(events.clone());
    relay.metrics.sessions.add(1);
    relay.metrics.sessions_total.add(1);
    let client = Client {
        session: Session::new(number, Limits::default()),
        number,
        started: Instant::now(),
        last_heard: Instant::now(),
        work: FuturesUnordered::new(),
        snapshot: None,
        judging: false,
        news_since: None,
        outgoing,
        live_queries: 0,
        chunks,
        leaves_at: None,
        leaving: false,
        waiter: Waiter {
            events,
            seat: Arc::default(),
        },
        holds: BTreeMap::new(),
        is_admin: false,
        served: None,
        relay,
    };
    client.drive(stream, incoming).await;
}

/// The session and everything that it has under way.
struct Client {
    relay: Arc<Relay>,
    session: Session,
    number: u32,
    started: Instant,
    last_heard: Instant,
    work: FuturesUnordered<BoxFuture<'static, Event>>,
    /// That of the run that the session is just told of.
    snapshot: Option<Arc<Open>>,
    /// A token is being judged: what the client sent after it has to wait.
    judging: bool,
    /// Since when there is news that the client has not been shown.
    news_since: Option<Instant>,
    outgoing: UnboundedSender<Outgoing>,
    live_queries: u64,
    /// Whether the client knows transitions in parts.
    chunks: bool,
    /// When the relay drains: this session's turn.
    leaves_at: Option<Instant>,
    leaving: bool,
    /// Where its runs are answered.
    waiter: Waiter,
    /// The results that it shows, or is about to show.
    holds: BTreeMap<Sub, Hold>,
    /// The caller may call internal functions.
    is_admin: bool,
    /// The answer to the run that was just asked for, if there was one already.
    served: Option<Told<Waiter>>,
}

impl Client {
    async fn drive(
        mut self,
        mut stream: SplitStream<WebSocket>,
        mut events: UnboundedReceiver<News>,
    ) {
        let mut connected = true;
        while !self.session.is_finished() {
            let wake = self.session.wake_at();
            let wake = wake.map(|at| self.started + Duration::from_millis(at));
            let listening = connected && !self.judging && self.session.accepts_messages();
            let relay = Arc::clone(&self.relay);
            let leaves_at = self.leaves_at.unwrap_or(self.started);
            tokio::select! {
                // First, so that nobody is told of what failed only because the relay stops.
                biased;
                () = relay.shutdown.cancelled(), if !self.leaving => self.leave(),
                () = relay.draining.cancelled(), if self.leaves_at.is_none() => {
                    let turn = relay.config.drain.spread.mul_f64(rand::random());
                    self.leaves_at = Some(Instant::now() + turn);
                }
                () = sleep_until(leaves_at), if self.leaves_at.is_some() && !self.leaving => self.leave(),
                Some(news) = events.recv() => self.take_in(news),
                Some(event) = self.work.next() => self.handle(event),
                () = sleep_until(wake.unwrap_or(self.started)), if wake.is_some() => {
                    self.handle(Event::Timer);
                }
                frame = stream.next(), if listening => match frame {
                    Some(Ok(frame)) => self.hear(frame),
                    Some(Err(_)) | None => {
                        connected = false;
                        self.handle(Event::Disconnected);
                    }
                },
                () = sleep_until(self.last_heard + CLIENT_SILENCE), if listening => {
                    connected = false;
                    self.handle(Event::Disconnected);
                }
            }
        }
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    fn hear(&mut self, frame: Message) {
        self.last_heard = Instant::now();
        let event = match frame {
            Message::Text(text) => match wire::parse(text.as_str()) {
                Ok(Heard::Message(message)) => Event::Message(message),
                Ok(Heard::Token {
                    base_version,
                    token,
                }) => return self.judge(base_version, *token),
                Err(reason) => Event::Malformed(reason),
            },
            Message::Binary(_) => {
                Event::Malformed("A binary message arrived: expected text".into())
            }
            Message::Ping(_) | Message::Pong(_) => return,
            // The stream ends after it.
            Message::Close(_) => return,
        };
        self.handle(event);
    }

    fn take_in(&mut self, news: News) {
        match news {
            News::Event(event) => self.handle(event),
            News::Run(told, open) => self.finish(told, open),
        }
    }

    /// R11: the snapshot of a run lives until the session has said whether it needs more of it.
    fn finish(&mut self, mut told: Told<Waiter>, open: Option<Arc<Open>>) {
        let older = std::mem::take(&mut told.holds).into_iter();
        let older = older.filter_map(|hold| self.holds.insert(hold.sub, hold));
        let older: Vec<Hold> = older.collect();
        self.snapshot = open;
        for event in told.events() {
            self.handle(event);
        }
        self.snapshot = None;
        if !older.is_empty() {
            sharing::release(&self.relay, older);
        }
    }

    /// Has a run executed, or takes over what another one has given.
    fn run(&mut self, run: Run) {
        self.served = sharing::ask(&self.relay, self.waiter.clone(), run, self.is_admin);
    }

    fn forget(&mut self, subs: &[Sub]) {
        let holds = subs.iter().filter_map(|sub| self.holds.remove(sub));
        let holds: Vec<Hold> = holds.collect();
        sharing::release(&self.relay, holds);
    }

    /// Has a token judged; the keys of its issuer may have to be fetched.
    fn judge(&mut self, base_version: u32, token: AuthenticationToken) {
        self.judging = true;
        let relay = Arc::clone(&self.relay);
        let judged = async move {
            let authentication = relay.gate.check_token(token, &relay.database).await;
            Event::Message(ClientMessage::Authenticate {
                base_version,
                authentication,
            })
        };
        self.work.push(judged.boxed());
    }

    fn handle(&mut self, event: Event) {
        if let Event::Message(ClientMessage::Authenticate { authentication, .. }) = &event {
            self.judging = false;
            self.is_admin = matches!(authentication, Authentication::Admin { .. });
            // It was the token's time that passed, not the client's.
            self.last_heard = Instant::now();
        }
        if let Event::Malformed(reason) = &event {
            info!(session = self.number, reason, "a client broke the protocol");
            self.relay.metrics.protocol_errors.add(1);
        }
        if matches!(
            event,
            Event::Invalidated { .. } | Event::MutationFinished { .. }
        ) {
            self.news_since.get_or_insert_with(Instant::now);
        }
        if matches!(event, Event::Disconnected) {
            self.waiter.seat.leave();
        }
        let now = self.now();
        for command in self.session.handle(now, event) {
            self.carry_out(command);
        }
        if let Some(told) = self.served.take() {
            self.finish(told, None);
        }
        self.relay.metrics.add_counts(self.session.take_counts());
        let live_queries = self.session.live_queries() as u64;
        self.relay.metrics.subscriptions.add(live_queries);
        self.relay.metrics.subscriptions.subtract(self.live_queries);
        self.live_queries = live_queries;
    }

    fn carry_out(&mut self, command: Command) {
        let relay = Arc::clone(&self.relay);
        match command {
            Command::Run(run) => self.run(run),
            Command::Extend(run) => {
                let (waiter, open) = (self.waiter.clone(), self.snapshot.take());
                let extension = sharing::extend(relay, waiter, run, self.is_admin, open);
                self.relay.tasks.spawn(extension);
            }
            Command::Mutate(mutation) => {
                let work = async move { mutations::run(&relay, mutation).await };
                self.work.push(work.boxed());
            }
            Command::Unregister(subs) => self.forget(&subs),
            Command::Send(message) => {
                if matches!(message, ServerMessage::Transition(_))
                    && let Some(since) = self.news_since.take()
                {
                    relay.metrics.delivery_seconds.observe(since.elapsed());
                }
                self.send(&message);
            }
            Command::Close { code, reason } => {
                debug!(session = self.number, code, reason, "closing a session");
                self.put(Outgoing::Close { code, reason });
            }
        }
    }

    fn send(&self, message: &ServerMessage) {
        let frames = wire::encode(message).and_then(|text| wire::frames(text, self.chunks));
        match frames {
            Ok(frames) => self.put(Outgoing::Text(frames)),
            Err(error) => {
                error!(session = self.number, %error, "a value of the database is not JSON");
                self.put(Outgoing::Close {
                    code: 1011,
                    reason: "InternalServerError",
                });
            }
        }
    }

    /// The relay stops: says so, and lets what is under way come to its end.
    fn leave(&mut self) {
        self.leaving = true;
        self.put(Outgoing::Close {
            code: GOING_AWAY,
            reason: "ServerStopping",
        });
    }

    fn put(&self, outgoing: Outgoing) {
        // The writer has ended only if the socket is gone; it has said so.
        let _ = self.outgoing.send(outgoing);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.relay.sessions.close(self.number);
        sharing::release(&self.relay, std::mem::take(&mut self.holds).into_values());
        self.relay.metrics.sessions.subtract(1);
        self.relay.metrics.subscriptions.subtract(self.live_queries);
    }
}

/// The writing half: sends in order, says of each message when it has left, pings in silence.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut outgoing: UnboundedReceiver<Outgoing>,
    events: UnboundedSender<News>,
) {
    loop {
        let (frames, is_last, is_ping) = match timeout(PING_AFTER, outgoing.recv()).await {
            Ok(Some(Outgoing::Text(texts))) => {
                let frames = texts.into_iter().map(|text| Message::Text(text.into()));
                (frames.collect(), false, false)
            }
            Ok(Some(Outgoing::Close { code, reason })) => {
                let reason = Utf8Bytes::from_static(reason);
                (
                    vec![Message::Close(Some(CloseFrame { code, reason }))],
                    true,
                    false,
                )
            }
            Ok(None) => (vec![Message::Close(None)], true, false),
            Err(_) => {
                let ping = Message::Text(Utf8Bytes::from_static(wire::PING));
                (vec![ping, Message::Ping(Vec::new().into())], false, true)
            }
        };
        for frame in frames {
            // Each part of a long message has its own time.
            if !matches!(timeout(SEND_PATIENCE, sink.send(frame)).await, Ok(Ok(()))) {
                let _ = events.send(News::Event(Event::Disconnected));
                return;
            }
        }
        if is_last {
            break;
        }
        if !is_ping && events.send(News::Event(Event::Sent)).is_err() {
            return;
        }
    }
    // The session may have ended before.
    let _ = events.send(News::Event(Event::Disconnected));
}
