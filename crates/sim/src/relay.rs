//! The relay's shell: sessions, the control connection, and mutations.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use pg_live_invalidation::Owner;
use pg_live_session::sharing::{Holds, Kept, Told};
use pg_live_session::{ClientMessage, Command, Event, Limits, Millis, ServerMessage, Session};

use pg_live_readset::RelId;

use crate::bug::Bug;
use crate::mutation_job::MutationJob;
use crate::run_job::{Context, Node, RunJob};
use crate::server::{Gone, Hint, Server};
use crate::sharing::{Executions, News, Seat};

/// The net under lost hints.
const POLL_EVERY: Millis = 5_000;

/// Whatever can be kept is to be kept (R10).
const LIMITS: Limits = Limits {
    keep_from: 1,
    ..Limits::DEFAULT
};

/// An attachment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control {
    pub(crate) owner: Owner,
    pub(crate) boot: u64,
    /// The number of the last batch that was taken in.
    pub(crate) after: u64,
}

/// A session and its socket.
#[derive(Debug)]
pub(crate) struct Shell {
    session: Session,
    seat: Seat,
    /// What it was told and has not taken in.
    pub(crate) news: VecDeque<News>,
    /// The results that it shows, or is about to show.
    pub(crate) holds: Holds,
    /// What the run that it asks for now may be answered with.
    pub(crate) kept: Option<Kept>,
    /// R11: the transaction of the run that it is just told of.
    pub(crate) open: Option<Rc<RunJob>>,
    inbox: VecDeque<ClientMessage>,
    outbox: VecDeque<ServerMessage>,
    /// The socket is to be closed once everything has left.
    closing: bool,
}

#[derive(Debug)]
pub(crate) struct Relay {
    /// Where it executes queries.
    pub(crate) node: Node,
    pub(crate) control: Option<Control>,
    next_owner: Owner,
    /// Owners of relays are this far apart, so that each has its own.
    relays: Owner,
    next_poll: Millis,
    pub(crate) sessions: BTreeMap<u32, Shell>,
    next_session: u32,
    pub(crate) executions: Executions,
    crowd: usize,
    pub(crate) mutations: Vec<MutationJob>,
    /// Runs of relays that have died; their backends have not noticed yet.
    pub(crate) orphans: Vec<(Option<Owner>, RunJob)>,
    pub(crate) bug: Option<Bug>,
    pub(crate) runs_started: u64,
}

impl Relay {
    /// One of `relays`; `first_owner` is its place among them.
    pub(crate) fn new(
        node: Node,
        (first_owner, relays): (Owner, Owner),
        crowd: usize,
        bug: Option<Bug>,
    ) -> Self {
        Relay {
            node,
            control: None,
            next_owner: first_owner,
            relays,
            next_poll: 0,
            sessions: BTreeMap::new(),
            next_session: 1,
            executions: Executions::new(crowd),
            crowd,
            mutations: Vec::new(),
            orphans: Vec::new(),
            bug,
            runs_started: 0,
        }
    }

    /// A socket has opened; the number of its session.
    pub(crate) fn open(&mut self) -> u32 {
        let number = self.next_session;
        self.next_session += 1;
        let shell = Shell {
            session: Session::new(number, LIMITS),
            seat: Seat::new(number),
            news: VecDeque::new(),
            holds: Holds::default(),
            kept: None,
            open: None,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            closing: false,
        };
        self.sessions.insert(number, shell);
        number
    }

    /// A message of the client is on its way.
    pub(crate) fn post(&mut self, session: u32, message: ClientMessage) {
        if let Some(shell) = self.sessions.get_mut(&session) {
            shell.inbox.push_back(message);
        }
    }

    /// A socket is gone, with all that was on its way.
    pub(crate) fn disconnect(&mut self, session: u32, now: Millis, server: &mut Server) {
        if let Some(shell) = self.sessions.get_mut(&session) {
            shell.inbox.clear();
            shell.outbox.clear();
            shell.seat.leave();
            self.give_up();
        }
        self.handle(session, Event::Disconnected, now, server);
    }

    /// A message of the client arrives. Whether there was one.
    pub(crate) fn take_in(&mut self, session: u32, now: Millis, server: &mut Server) -> bool {
        let Some(shell) = self.sessions.get_mut(&session) else {
            return false;
        };
        if !shell.session.accepts_messages() {
            return false;
        }
        let Some(mut message) = shell.inbox.pop_front() else {
            return false;
        };
        if self.bug == Some(Bug::ObservedIgnored)
            && let ClientMessage::Connect {
                max_observed_timestamp,
                ..
            } = &mut message
        {
            *max_observed_timestamp = None;
        }
        self.handle(session, Event::Message(message), now, server);
        true
    }

    /// A message leaves for the client.
    pub(crate) fn send_out(
        &mut self,
        session: u32,
        now: Millis,
        server: &mut Server,
    ) -> Option<ServerMessage> {
        let outbox = &mut self.sessions.get_mut(&session)?.outbox;
        let is_transition = |m: &ServerMessage| matches!(m, ServerMessage::Transition(_));
        let message = match (self.bug, outbox.iter().position(is_transition)) {
            (Some(Bug::TransitionOvertakes), Some(at)) => outbox.remove(at)?,
            _ => outbox.pop_front()?,
        };
        self.handle(session, Event::Sent, now, server);
        Some(message)
    }

    /// Whether the socket was closed by the session.
    pub(crate) fn has_closed(&self, session: u32) -> bool {
        let shell = self.sessions.get(&session);
        shell.is_none_or(|shell| shell.closing && shell.outbox.is_empty())
    }

    /// Timers that are due. Whether there were any.
    pub(crate) fn wake(&mut self, now: Millis, server: &mut Server) -> bool {
        let due = |shell: &Shell| shell.session.wake_at().is_some_and(|at| at <= now);
        let sessions = self.sessions.iter().filter(|(_, shell)| due(shell));
        let due: Vec<u32> = sessions.map(|(number, _)| *number).collect();
        for session in &due {
            self.handle(*session, Event::Timer, now, server);
        }
        if self.next_poll <= now && self.bug != Some(Bug::NoPoll) {
            self.poll(now, server);
        }
        !due.is_empty()
    }

    /// Attaches if that is not done. Runs that start from now on register for the new owner (R8).
    pub(crate) fn attach(&mut self, server: &mut Server) {
        if self.control.is_some() {
            return;
        }
        let boot = server.attach(self.next_owner);
        if boot == 0 {
            return;
        }
        self.control = Some(Control {
            owner: self.next_owner,
            boot,
            after: 0,
        });
        if self.bug != Some(Bug::RegisterBeforeAttach) {
            self.registrations_lost();
        }
    }

    /// The control connection is lost, or given up for a new one.
    pub(crate) fn lose_control(&mut self, server: &mut Server) {
        if let Some(control) = self.control.take() {
            server.detach(control.owner);
            if self.bug == Some(Bug::RegisterBeforeAttach) {
                self.registrations_lost();
            }
            if self.bug != Some(Bug::OwnerReused) {
                self.next_owner += self.relays;
            }
        }
    }

    /// A hint arrives.
    pub(crate) fn hint(&mut self, hint: Hint, now: Millis, server: &mut Server) {
        let Some(control) = self.control.as_mut().filter(|c| c.owner == hint.owner) else {
            return;
        };
        if self.bug == Some(Bug::HintTrusted) {
            control.after = control.after.max(hint.n - 1);
        }
        self.poll(now, server);
    }

    /// Fetches what there is to know. R8: after a gap or in a new boot everything begins anew.
    pub(crate) fn poll(&mut self, now: Millis, server: &mut Server) {
        self.next_poll = now + POLL_EVERY;
        let Some(mut control) = self.control else {
            return;
        };
        let items = match server.next(control.owner, control.boot, control.after) {
            Ok(items) => items,
            Err(Gone) => return self.lose_control(server),
        };
        for item in items {
            control.after = control.after.max(item.n);
            self.invalidated(item.sub, item.moment, now, server);
        }
        self.control = Some(control);
    }

    /// Whether a query holds the lock of a table on that node.
    pub(crate) fn reads(&self, node: Node, rel: RelId) -> bool {
        let orphans = self.orphans.iter().map(|(_, job)| job);
        let jobs = self.executions.jobs.iter().map(|it| &it.job);
        let told = self.sessions.values().flat_map(|shell| &shell.news);
        let open = told.filter_map(|news| match news {
            News::Run(_, open) => open.as_deref(),
            News::OutOfDate(_) | News::RegistrationsLost => None,
        });
        jobs.chain(orphans)
            .chain(open)
            .any(|job| job.reads(node, rel))
    }

    /// For whom runs that begin now register.
    pub(crate) fn owner(&self) -> Option<Owner> {
        match (self.control, self.bug) {
            (Some(control), _) => Some(control.owner),
            (None, Some(Bug::RegisterBeforeAttach)) => Some(self.next_owner - self.relays),
            (None, _) => None,
        }
    }

    /// The relay dies and starts again. Its backends may go on for a while.
    pub(crate) fn die(&mut self, cx: &mut Context<'_>) {
        for job in &mut self.mutations {
            job.disconnect(cx);
        }
        if let Some(control) = self.control.take() {
            cx.server.detach(control.owner);
        }
        let mut orphans = std::mem::take(&mut self.orphans);
        let jobs = self.executions.jobs.drain(..);
        orphans.extend(jobs.map(|it| (it.owner, it.job)));
        *self = Relay {
            next_session: self.next_session,
            orphans,
            runs_started: self.runs_started,
            ..Relay::new(
                self.node,
                (self.next_owner + self.relays, self.relays),
                self.crowd,
                self.bug,
            )
        };
    }

    /// All connections to the server are lost.
    pub(crate) fn server_crashed(&mut self, now: Millis, server: &mut Server) {
        self.orphans.clear();
        for job in &mut self.mutations {
            job.forget();
        }
        self.fail_all(now, server);
        self.lose_control(server);
    }

    /// Gives an event to a session and does what it wants done.
    pub(crate) fn handle(&mut self, number: u32, event: Event, now: Millis, server: &mut Server) {
        let Some(shell) = self.sessions.get_mut(&number) else {
            return;
        };
        let seat = shell.seat.clone();
        let mut served = None;
        for command in shell.session.handle(now, event) {
            self.carry_out(&seat, command, (&mut served, now), server);
        }
        if let Some(told) = served {
            self.finish(number, told, None, now, server);
        }
        let shell = self.sessions.get(&number);
        if shell.is_some_and(|shell| shell.session.is_finished()) {
            self.close(number, now, server);
        }
    }

    fn carry_out(
        &mut self,
        seat: &Seat,
        command: Command,
        (served, now): (&mut Option<Told<Seat>>, Millis),
        server: &mut Server,
    ) {
        let Some(shell) = self.sessions.get_mut(&seat.session) else {
            return;
        };
        match command {
            Command::Run(run) => {
                let kept = shell.kept.take();
                *served = self.ask(seat, run, kept, now, server);
            }
            Command::Extend(run) => {
                let open = shell.open.take();
                self.extend(seat, run, open, now, server);
            }
            Command::Mutate(mutation) => {
                let job = MutationJob::new(seat.session, mutation);
                self.mutations.push(job);
            }
            Command::Unregister(subs) => {
                let holds = shell.holds.forget(&subs);
                self.release(holds, now, server);
            }
            Command::Send(message) => shell.outbox.push_back(message),
            Command::Close { .. } => shell.closing = true,
        }
    }

    /// A session is over: what was kept for it is given back.
    fn close(&mut self, number: u32, now: Millis, server: &mut Server) {
        let Some(mut shell) = self.sessions.remove(&number) else {
            return;
        };
        for news in shell.news {
            if let News::OutOfDate(news) = news {
                self.release(news.refused(), now, server);
            }
        }
        self.release(shell.holds.take_all(), now, server);
    }
}
