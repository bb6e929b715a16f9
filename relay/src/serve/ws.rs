//! One WebSocket: carries events to its session and commands from it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use convex_sync_types::AuthenticationToken;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use pg_live_session::sharing::{Anew, Hold, Told};
use pg_live_session::{
    Authentication, ClientMessage, Command, Event, Limits, Millis, Run, RunNumber, ServerMessage,
    Session, Sub,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, error, info};

use super::sharing::{self, News, Waiter};
use super::silence::{Silence, Verdict};
use super::socket::{Happened, SEND_PATIENCE, Socket};
use super::transaction::Open;
use super::wire::Heard;
use super::{Relay, frames, mutations, wire};

/// The relay has too much to do; the client connects again, later.
const TRY_AGAIN_LATER: u16 = 1013;
/// The relay goes away; the client connects again.
const GOING_AWAY: u16 = 1001;

/// Nothing is due: whatever happens first decides when to look again.
const FAR: Duration = Duration::from_secs(86_400);

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
    if relay.executions.waiting() >= relay.config.max_waiting_runs {
        relay.metrics.sessions_refused.add(1);
        return refuse(socket).await;
    }
    let (events, incoming) = unbounded_channel();
    let number = relay.sessions.open(events.clone());
    relay.metrics.sessions.add(1);
    relay.metrics.sessions_total.add(1);
    let mut client = Client {
        session: Session::new(number, Limits::default()),
        number,
        started: Instant::now(),
        silence: Silence::new(Instant::now()),
        work: FuturesUnordered::new(),
        snapshot: None,
        judging: false,
        news_since: None,
        socket: Socket::new(socket),
        connected: true,
        live_queries: 0,
        chunks,
        leaving: Leaving::No,
        waiter: Waiter {
            events,
            seat: Arc::default(),
        },
        holds: BTreeMap::new(),
        is_admin: false,
        served: None,
        relay,
    };
    if client.relay.draining.is_cancelled() {
        client.plan_to_leave();
    }
    client.drive(incoming).await;
}

/// The session and everything that it has under way.
struct Client {
    relay: Arc<Relay>,
    session: Session,
    number: u32,
    started: Instant,
    silence: Silence,
    work: FuturesUnordered<BoxFuture<'static, Event>>,
    /// That of the run that the session is just told of.
    snapshot: Option<Arc<Open>>,
    /// A token is being judged: what the client sent after it has to wait.
    judging: bool,
    /// Since when there is news that the client has not been shown.
    news_since: Option<Instant>,
    socket: Socket,
    connected: bool,
    live_queries: u64,
    /// Whether the client knows transitions in parts.
    chunks: bool,
    leaving: Leaving,
    /// Where its runs are answered.
    waiter: Waiter,
    /// The results that it shows, or is about to show.
    holds: BTreeMap<Sub, Hold>,
    /// The caller may call internal functions.
    is_admin: bool,
    /// The answer to the run that was just asked for, if there was one already.
    served: Option<Told<Waiter>>,
}

/// How far a session is on its way out of a relay that stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// Its turn comes then.
    At(Instant),
    /// It takes no more messages, and answers what it has.
    Answering,
    /// It has said so.
    Said,
}

impl Client {
    async fn drive(mut self, mut events: UnboundedReceiver<News>) {
        let mut timer = pin!(sleep_until(self.started + FAR));
        while !self.session.is_finished() {
            // The timer is moved only if it would be late: most of the time what it is for moves on.
            let due = self.due();
            if due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            let (connected, listening) = (self.connected, self.is_listening());
            tokio::select! {
                biased;
                Some(news) = events.recv() => self.take_in(news),
                Some(event) = self.work.next(), if !self.work.is_empty() => self.handle(event),
                () = &mut timer => {
                    self.on_time();
                    timer.as_mut().reset(self.due());
                }
                happened = self.socket.next(listening), if connected => match happened {
                    Happened::Sent => self.handle(Event::Sent),
                    Happened::Heard(frame) => self.hear(frame),
                    Happened::Parted => {} // The timer is moved above.
                    Happened::Ended => self.disconnect(),
                },
            }
        }
        // What was kept for it and it was not told of any more.
        events.close();
        while let Ok(news) = events.try_recv() {
            if let News::Invalidated {
                sub,
                generation,
                anew: Some(anew),
                ..
            } = news
            {
                sharing::release(&self.relay, [anew.hold(sub, generation)]);
            }
        }
    }

    /// The relay drains: the sessions leave one after the other.
    fn plan_to_leave(&mut self) {
        if self.leaving == Leaving::No {
            let turn = self.relay.config.drain.spread.mul_f64(rand::random());
            self.leaving = Leaving::At(Instant::now() + turn);
        }
    }

    fn is_listening(&self) -> bool {
        let stays = matches!(self.leaving, Leaving::No | Leaving::At(_));
        self.connected && stays && !self.judging && self.session.accepts_messages()
    }

    fn wake_at(&self) -> Option<Instant> {
        let at = self.session.wake_at()?;
        Some(self.started + Duration::from_millis(at))
    }

    /// When the next of the things that are to be done at a time is to be done.
    fn due(&self) -> Instant {
        let leaves_at = match self.leaving {
            Leaving::At(turn) => Some(turn),
            Leaving::No | Leaving::Answering | Leaving::Said => None,
        };
        let socket = self.connected.then(|| self.socket.deadline());
        let silence = self.is_listening().then(|| self.silence.deadline());
        let due = [leaves_at, self.wake_at(), socket, silence];
        let due = due.into_iter().flatten().min();
        due.unwrap_or_else(|| Instant::now() + FAR)
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if matches!(self.leaving, Leaving::At(turn) if turn <= now) {
            self.leaving = Leaving::Answering;
            self.leave_when_answered();
        }
        if self.wake_at().is_some_and(|at| at <= now) {
            self.handle(Event::Timer);
        }
        let mut is_gone = self.connected && self.socket.on_time(now);
        if self.is_listening() {
            match self.silence.judge(now) {
                Verdict::Wait => {}
                Verdict::Ask => self.socket.ask(),
                Verdict::Gone => is_gone = true,
            }
        }
        if is_gone {
            self.disconnect();
        }
    }

    fn disconnect(&mut self) {
        self.connected = false;
        self.socket.give_up();
        self.handle(Event::Disconnected);
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    fn hear(&mut self, frame: Message) {
        self.silence.end(Instant::now());
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
            News::Invalidated {
                sub,
                generation,
                moment,
                anew,
            } => {
                self.replace_hold(sub, generation, anew);
                self.handle(Event::Invalidated {
                    sub,
                    generation,
                    moment,
                });
            }
            News::Event(event) => self.handle(*event),
            News::Drains => self.plan_to_leave(),
            News::Stops => self.leave(),
            News::Run(told) => self.finish(told.0, told.1),
        }
    }

    /// Nobody holds an execution that is out of date: its hold is void. If the next result is kept for this session, that
    /// takes its place.
    fn replace_hold(&mut self, sub: Sub, generation: RunNumber, anew: Option<Anew>) {
        let is_void = self
            .holds
            .get(&sub)
            .is_some_and(|hold| hold.is_of(generation));
        match anew.map(|anew| anew.hold(sub, generation)) {
            Some(hold) if is_void => {
                self.holds.insert(sub, hold);
            }
            // It shows something newer by now, or nothing.
            Some(hold) => sharing::release(&self.relay, [hold]),
            None if is_void => {
                self.holds.remove(&sub);
            }
            None => {}
        }
    }

    /// R11: the snapshot of a run lives until the session has said whether it needs more of it.
    fn finish(&mut self, mut told: Told<Waiter>, open: Option<Arc<Open>>) {
        let holds = std::mem::take(&mut told.holds).into_iter();
        let older = holds.filter_map(|hold| {
            let older = self.holds.insert(hold.sub, hold)?;
            (!older.is_of_the_same(&hold)).then_some(older)
        });
        let older: Vec<Hold> = older.collect();
        self.snapshot = open;
        for event in told.events() {
            self.handle(event);
        }
        self.snapshot = None;
        sharing::release(&self.relay, older);
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
            self.silence.end(Instant::now());
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
            sharing::give_up(&self.relay);
        }
        let now = self.now();
        for command in self.session.handle(now, event) {
            self.carry_out(command);
        }
        if let Some(told) = self.served.take() {
            self.finish(told, None);
        }
        self.leave_when_answered();
        self.relay.metrics.add_counts(self.session.take_counts());
        let live_queries = self.session.live_queries() as u64;
        if live_queries != self.live_queries {
            self.relay.metrics.subscriptions.add(live_queries);
            self.relay.metrics.subscriptions.subtract(self.live_queries);
            self.live_queries = live_queries;
        }
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
                self.socket.close(code, reason);
            }
        }
    }

    fn send(&mut self, message: &ServerMessage) {
        match frames::of(message, self.chunks) {
            Ok(frames) => self.socket.put(frames),
            Err(error) => {
                error!(session = self.number, %error, "a value of the database is not JSON");
                self.socket.close(1011, "InternalServerError");
            }
        }
    }

    /// Mutations that were taken are answered first. What the client has sent since then was not read, and is sent
    /// again to another relay.
    fn leave_when_answered(&mut self) {
        if self.leaving == Leaving::Answering && !self.session.owes_answers() {
            self.leave();
        }
    }

    /// The relay stops: says so, and lets what is under way come to its end.
    fn leave(&mut self) {
        if self.leaving != Leaving::Said {
            self.leaving = Leaving::Said;
            self.socket.part(GOING_AWAY, "ServerStopping");
        }
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
