//! Drives one session: messages and events in, commands out.

use pg_live_session::*;

pub(crate) struct Driver {
    pub(crate) session: Session,
    pub(crate) now: Millis,
}

pub(crate) const fn at(c: u64) -> Moment {
    Moment { boot: 1, c }
}

pub(crate) fn ts(c: u64) -> u64 {
    (1 << 44) + c
}

pub(crate) fn add(query_id: QueryId) -> Modification {
    Modification::Add {
        query_id,
        path: format!("m:q{query_id}"),
        args: "[{}]".into(),
        journal: None,
    }
}

pub(crate) fn value(text: &str) -> QueryResult {
    QueryResult {
        outcome: Ok(text.into()),
        log_lines: vec![],
        journal: None,
        registered: Some(1),
        not_live: None,
    }
}

impl Driver {
    pub(crate) fn new() -> Self {
        let mut driver = Self {
            session: Session::new(1, Limits::default()),
            now: 0,
        };
        let connect = ClientMessage::Connect {
            session_id: "id".into(),
            max_observed_timestamp: None,
        };
        assert_eq!(driver.message(connect), []);
        driver
    }

    /// A session that shows `values` at c = 10, from run 1.
    pub(crate) fn showing(values: &[&str]) -> (Self, Vec<Sub>) {
        let mut driver = Self::new();
        let ids = 0..u32::try_from(values.len()).unwrap();
        let run = only_run(driver.modify(0, ids.map(add).collect()));
        let subs = run.queries.iter().map(|q| q.sub).collect();
        let shown = only_transition(driver.finish(&run, 10, values));
        assert_eq!(shown.modifications.len(), values.len());
        (driver, subs)
    }

    pub(crate) fn event(&mut self, event: Event) -> Vec<Command> {
        let out = self.session.handle(self.now, event);
        for command in &out {
            if matches!(command, Command::Send(_)) {
                self.session.handle(self.now, Event::Sent);
            }
        }
        out
    }

    pub(crate) fn message(&mut self, message: ClientMessage) -> Vec<Command> {
        self.event(Event::Message(message))
    }

    pub(crate) fn modify(
        &mut self,
        base_version: u32,
        modifications: Vec<Modification>,
    ) -> Vec<Command> {
        let new_version = base_version + 1;
        self.message(ClientMessage::ModifyQuerySet {
            base_version,
            new_version,
            modifications,
        })
    }

    pub(crate) fn mutation(&mut self, request_id: RequestId) -> Vec<Command> {
        let (path, args) = ("m:f".into(), "[{}]".into());
        self.message(ClientMessage::Mutation {
            request_id,
            path,
            args,
        })
    }

    pub(crate) fn committed(&mut self, request_id: RequestId, c: u64) -> Vec<Command> {
        let (value, log_lines) = ("null".into(), vec![]);
        let outcome = MutationOutcome::Committed {
            moment: at(c),
            value,
            log_lines,
        };
        self.event(Event::MutationFinished {
            request_id,
            outcome,
        })
    }

    pub(crate) fn finish(&mut self, run: &Run, c: u64, values: &[&str]) -> Vec<Command> {
        let results = run
            .queries
            .iter()
            .zip(values)
            .map(|(q, v)| (q.sub, value(v).into()))
            .collect();
        self.event(Event::RunFinished {
            run: run.number,
            moment: at(c),
            results,
            release: None,
        })
    }

    /// A run's results with what is known of the invalidator.
    pub(crate) fn release(
        &mut self,
        run: &Run,
        c: u64,
        values: &[&str],
        release: Release,
    ) -> Vec<Command> {
        let results = run.queries.iter().zip(values);
        let results = results.map(|(q, v)| (q.sub, value(v).into())).collect();
        self.event(Event::RunFinished {
            run: run.number,
            moment: at(c),
            results,
            release: Some(release),
        })
    }

    pub(crate) fn invalidate(&mut self, sub: Sub, generation: RunNumber, c: u64) -> Vec<Command> {
        self.event(Event::Invalidated {
            sub,
            generation,
            moment: at(c),
        })
    }
}

pub(crate) fn only_run(commands: Vec<Command>) -> Run {
    match <[Command; 1]>::try_from(commands) {
        Ok([Command::Run(run)]) => run,
        other => panic!("not one run: {other:?}"),
    }
}

pub(crate) fn only_transition(commands: Vec<Command>) -> Transition {
    match <[Command; 1]>::try_from(commands) {
        Ok([Command::Send(ServerMessage::Transition(transition))]) => transition,
        other => panic!("not one transition: {other:?}"),
    }
}

pub(crate) fn fatal(commands: &[Command]) -> &str {
    match commands {
        [
            Command::Send(ServerMessage::FatalError { message }),
            Command::Close { .. },
        ] => message,
        other => panic!("not a fatal error: {other:?}"),
    }
}
