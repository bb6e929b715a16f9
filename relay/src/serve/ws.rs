//! One WebSocket: carries events to its session and commands from it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use convex_sync_types::AuthenticationToken;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use pg_live_session::sharing::{Ask, Holds, Kept, OutOfDate, Told};
use pg_live_session::{
    Authentication, ClientMessage, Command, Event, Limits, Millis, Run, ServerMessage, Session, Sub,
};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tracing::{debug, error, info};

use super::desk::{self, Desk, News, Waiter};
use super::sharing;
use super::silence::{Silence, Verdict};
use super::socket::{Happened, SEND_PATIENCE, Socket};
use super::transaction::Open;
use super::wire::Heard;
use super::{Relay, frames, mutations, wire};

/// The relay has too much to do; the client connects again, later.
const TRY_AGAIN_LATER: u16 = 1013;
/// The relay goes away; the client connects again.
const GOING_AWAY: u16 = 1001;

/// So much of what has happened is taken in before other sessions have their turn.
const TURNS: usize = 64;

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
    let desk = Arc::<Desk>::default();
    let number = relay.sessions.open(Arc::clone(&desk));
    let started = Instant::now();
    relay.metrics.sessions.add(1);
    relay.metrics.sessions_total.add(1);
    let mut client = Client {
        session: Session::new(number, Limits::default()),
        number,
        started,
        now: started,
        timer: Box::pin(sleep_until(started + FAR)),
        silence: Silence::new(started),
        work: FuturesUnordered::new(),
        snapshot: None,
        judging: false,
        news_since: None,
        socket: Socket::new(socket),
        connected: true,
        live_queries: 0,
        chunks,
        leaving: Leaving::No,
        desk: Arc::clone(&desk),
        holds: Holds::default(),
        kept: None,
        is_admin: false,
        served: None,
        relay,
    };
    if client.relay.draining.is_cancelled() {
        client.plan_to_leave();
    }
    desk::occupy(desk, client).await;
}

/// The session and everything that it has under way.
pub(super) struct Client {
    relay: Arc<Relay>,
    session: Session,
    number: u32,
    started: Instant,
    /// When its task, or a visitor, began with what has happened: thousands of sessions ask the clock once each.
    now: Instant,
    timer: Pin<Box<Sleep>>,
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
    desk: Arc<Desk>,
    /// The results that it shows, or is about to show.
    holds: Holds,
    /// What the run that it asks for now may be answered with.
    kept: Option<Kept>,
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
    /// Takes in what has happened. Ready when the session is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.now = Instant::now();
        for _ in 0..TURNS {
            if self.session.is_finished() {
                return Poll::Ready(());
            }
            if !self.take_in_next(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes in the next thing that has happened, if there is one.
    fn take_in_next(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(news) = self.desk.next_news() {
            self.take_in(news);
            return true;
        }
        if let Poll::Ready(Some(event)) = self.work.poll_next_unpin(cx) {
            self.handle(event);
            return true;
        }
        // The timer is moved only if it would be late: most of the time what it is for moves on.
        let due = self.due();
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            self.on_time();
            let due = self.due();
            self.timer.as_mut().reset(due);
            return true;
        }
        let listening = self.is_listening();
        if self.connected
            && let Poll::Ready(happened) = self.socket.poll(cx, self.now, listening)
        {
            self.on_socket(happened);
            return true;
        }
        false
    }

    /// Takes in what it was told and writes what can be written at once, for somebody else's task. Whether something is
    /// left to its own.
    pub(super) fn attend(&mut self, now: Instant) -> bool {
        self.now = now;
        for _ in 0..TURNS {
            let Some(news) = self.desk.next_news() else {
                break;
            };
            self.take_in(news);
        }
        // What has to wait is written by its own task.
        let mut nobody = Context::from_waker(Waker::noop());
        while self.connected
            && let Poll::Ready(happened) = self.socket.poll_write(&mut nobody, self.now)
        {
            self.on_socket(happened);
        }
        self.session.is_finished()
            || self.desk.has_news()
            || !self.work.is_empty()
            || !self.socket.is_idle()
            || self.due() < self.timer.deadline()
    }

    fn on_socket(&mut self, happened: Happened) {
        match happened {
            Happened::Sent => self.handle(Event::Sent),
            Happened::Heard(frame) => self.hear(frame),
            Happened::Parted => {} // Its deadline is another one now.
            Happened::Ended => self.disconnect(),
        }
    }

    /// It is over, and was not told of this any more.
    pub(super) fn end(self, news: impl IntoIterator<Item = News>) {
        let unheld = news.into_iter().flat_map(sharing::unheld);
        sharing::release(&self.relay, unheld);
    }

    /// The relay drains: the sessions leave one after the other.
    fn plan_to_leave(&mut self) {
        if self.leaving == Leaving::No {
            let turn = self.relay.config.drain.spread.mul_f64(rand::random());
            self.leaving = Leaving::At(self.now + turn);
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
        due.unwrap_or_else(|| self.now + FAR)
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        self.now = now;
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
        let passed = self.now.saturating_duration_since(self.started);
        Millis::try_from(passed.as_millis()).unwrap_or(Millis::MAX)
    }

    fn hear(&mut self, frame: Message) {
        self.silence.end(self.now);
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
            News::OutOfDate(news) => self.take_in_out_of_date(&news),
            News::Event(event) => self.handle(*event),
            News::Drains => self.plan_to_leave(),
            News::Stops => self.leave(),
            News::Run(told) => self.finish(told.0, told.1),
        }
    }

    fn take_in_out_of_date(&mut self, news: &OutOfDate) {
        let outdated = self.holds.out_of_date(news);
        sharing::release(&self.relay, outdated.release);
        self.kept = outdated.kept;
        self.handle(outdated.event);
        self.kept = None;
    }

    /// R11: the snapshot of a run lives until the session has said whether it needs more of it.
    fn finish(&mut self, mut told: Told<Waiter>, open: Option<Arc<Open>>) {
        let older = self.holds.take_over(&mut told);
        self.snapshot = open;
        for event in told.events() {
            self.handle(event);
        }
        self.snapshot = None;
        sharing::release(&self.relay, older);
    }

    /// Has a run executed, or takes over what another one has given.
    fn run(&mut self, run: Run) {
        let ask = self.ask(run, self.relay.nodes.has_replicas());
        self.served = sharing::ask(&self.relay, self.now.into_std(), ask, self.kept.take());
    }

    fn ask(&self, run: Run, alone: bool) -> Ask<Waiter> {
        Ask {
            asker: Waiter(Arc::clone(&self.desk)),
            run,
            is_admin: self.is_admin,
            alone,
        }
    }

    fn forget(&mut self, subs: &[Sub]) {
        let holds = self.holds.forget(subs);
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
            self.silence.end(self.now);
        }
        if let Event::Malformed(reason) = &event {
            info!(session = self.number, reason, "a client broke the protocol");
            self.relay.metrics.protocol_errors.add(1);
        }
        if matches!(
            event,
            Event::Invalidated { .. } | Event::MutationFinished { .. }
        ) {
            self.news_since.get_or_insert(self.now);
        }
        if matches!(event, Event::Disconnected) {
            self.desk.leave();
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
        match command {
            Command::Run(run) => self.run(run),
            Command::Extend(run) => {
                let (ask, open) = (self.ask(run, true), self.snapshot.take());
                let extension = sharing::extend(Arc::clone(&self.relay), ask, open);
                self.relay.tasks.spawn(extension);
            }
            Command::Mutate(mutation) => {
                let relay = Arc::clone(&self.relay);
                let work = async move { mutations::run(&relay, mutation).await };
                self.work.push(work.boxed());
            }
            Command::Unregister(subs) => self.forget(&subs),
            Command::Send(message) => {
                if matches!(message, ServerMessage::Transition(_))
                    && let Some(since) = self.news_since.take()
                {
                    let took = self.now.saturating_duration_since(since);
                    self.relay.metrics.delivery_seconds.observe(took);
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
        sharing::release(&self.relay, self.holds.take_all());
        self.relay.metrics.sessions.subtract(1);
        self.relay.metrics.subscriptions.subtract(self.live_queries);
    }
}
