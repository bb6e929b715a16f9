//! One test for each rule that a session keeps, and for its answers to bad input.

#![allow(clippy::unwrap_used)]

mod driver;

use pg_live_session::*;

use driver::*;

#[test]
fn first_run_moves_the_client_to_its_snapshot() {
    let mut driver = Driver::new();
    let run = only_run(driver.modify(0, vec![add(4), add(5)]));
    let transition = only_transition(driver.finish(&run, 10, &["1", "2"]));
    assert_eq!(transition.start, Version::default());
    assert_eq!(
        transition.end,
        Version {
            query_set: 1,
            identity: 0,
            ts: ts(10)
        }
    );
    assert_eq!(transition.modifications.len(), 2);
}

#[test]
fn subs_are_unique_across_sessions() {
    let subs = |number| {
        let mut session = Session::new(number, Limits::default());
        let connect = ClientMessage::Connect {
            session_id: "id".into(),
            max_observed_timestamp: None,
        };
        session.handle(0, Event::Message(connect));
        let modifications = vec![add(0), add(1)];
        let message = ClientMessage::ModifyQuerySet {
            base_version: 0,
            new_version: 1,
            modifications,
        };
        let run = only_run(session.handle(0, Event::Message(message)));
        run.queries.iter().map(|q| q.sub).collect::<Vec<_>>()
    };
    let mut all = [subs(1), subs(2), subs(i32::MAX.cast_unsigned())].concat();
    assert!(all.iter().all(|sub| *sub > 0));
    all.dedup();
    assert_eq!(all.len(), 6);
}

#[test]
fn r9_rerun_is_not_older_than_the_invalidation() {
    let (mut driver, subs) = Driver::showing(&["1", "2"]);
    let run = only_run(driver.invalidate(subs[0], 1, 20));
    assert_eq!((run.number, run.min, run.queries.len()), (2, at(20), 2));
    assert_eq!(
        driver.finish(&run, 19, &["9", "9"]),
        [],
        "too old a snapshot is thrown away"
    );
    driver.now = driver.session.wake_at().unwrap();
    let again = only_run(driver.event(Event::Timer));
    assert_eq!((again.number, again.min), (3, at(20)));
    assert_eq!(
        only_transition(driver.finish(&again, 20, &["9", "2"]))
            .modifications
            .len(),
        1
    );
    assert_eq!(driver.session.take_counts().runs_discarded, 1);
}

#[test]
fn r9_invalidation_before_its_result_is_kept() {
    let (mut driver, subs) = Driver::showing(&["1"]);
    let run = only_run(driver.invalidate(subs[0], 1, 20));
    assert_eq!(driver.invalidate(subs[0], run.number, 30), []);
    let commands = driver.finish(&run, 25, &["2"]);
    let [
        Command::Send(ServerMessage::Transition(_)),
        Command::Run(next),
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    assert_eq!(next.min, at(30));
}

#[test]
fn r9_invalidation_of_the_replaced_result_needs_only_a_new_enough_snapshot() {
    let (mut driver, subs) = Driver::showing(&["1"]);
    let run = only_run(driver.invalidate(subs[0], 1, 20));
    assert_eq!(driver.invalidate(subs[0], 1, 22), []);
    only_transition(driver.finish(&run, 22, &["2"]));
    assert_eq!(
        driver.invalidate(subs[0], 1, 50),
        [],
        "of a result that is not shown any more"
    );
}

/// A record with everything in it.
const CLEAR: Release = Release {
    boot: 1,
    w: 1,
    clear: true,
};

const FIVE: [&str; 5] = ["0", "1", "2", "3", "4"];

fn only_extension(commands: Vec<Command>) -> Run {
    match <[Command; 1]>::try_from(commands) {
        Ok([Command::Extend(run)]) => run,
        other => panic!("not one extension: {other:?}"),
    }
}

fn subs_of(run: &Run) -> Vec<Sub> {
    run.queries.iter().map(|q| q.sub).collect()
}

#[test]
fn r10_only_what_was_hit_is_executed() {
    let (mut driver, subs) = Driver::showing(&FIVE);
    let run = only_run(driver.invalidate(subs[2], 1, 20));
    assert_eq!((subs_of(&run), run.keeps), (vec![subs[2]], true));
    let shown = only_transition(driver.release(&run, 21, &["9"], CLEAR));
    assert_eq!((shown.modifications.len(), shown.end.ts), (1, ts(21)));
    let counts = driver.session.take_counts();
    assert_eq!((counts.results_kept, counts.keeps_failed), (4, 0));
    // The kept ones go on under the run that registered them.
    let run = only_run(driver.invalidate(subs[0], 1, 30));
    assert_eq!(subs_of(&run), [subs[0]]);
}

#[test]
fn r10_what_no_record_clears_is_executed_at_the_same_snapshot() {
    let behind = Release { w: 0, ..CLEAR };
    let other_boot = Release { boot: 2, ..CLEAR };
    let unclear = Release {
        clear: false,
        ..CLEAR
    };
    for release in [behind, other_boot, unclear] {
        let (mut driver, subs) = Driver::showing(&FIVE);
        let run = only_run(driver.invalidate(subs[2], 1, 20));
        let rest = only_extension(driver.release(&run, 21, &["9"], release));
        assert_eq!(
            (rest.number, rest.min, rest.keeps),
            (run.number, at(21), false)
        );
        assert_eq!(subs_of(&rest), [subs[0], subs[1], subs[3], subs[4]]);
        let shown = only_transition(driver.finish(&rest, 21, &["0", "7", "3", "4"]));
        assert_eq!((shown.modifications.len(), shown.end.ts), (2, ts(21)));
    }
}

#[test]
fn r10_an_invalidation_during_the_run_ends_the_keeping_of_its_result() {
    let (mut driver, subs) = Driver::showing(&FIVE);
    let run = only_run(driver.invalidate(subs[2], 1, 20));
    assert_eq!(driver.invalidate(subs[4], 1, 22), []);
    let rest = only_extension(driver.release(&run, 21, &["9"], CLEAR));
    assert_eq!(subs_of(&rest), [subs[4]]);
    only_transition(driver.finish(&rest, 21, &["8"]));
    assert_eq!(driver.session.wake_at(), None, "R6 watches from here on");
}

#[test]
fn r11_an_extension_at_another_snapshot_is_thrown_away() {
    let (mut driver, subs) = Driver::showing(&FIVE);
    let run = only_run(driver.invalidate(subs[2], 1, 20));
    let unclear = Release {
        clear: false,
        ..CLEAR
    };
    let rest = only_extension(driver.release(&run, 21, &["9"], unclear));
    assert_eq!(driver.finish(&rest, 22, &["0", "7", "3", "4"]), []);
    driver.now = driver.session.wake_at().unwrap();
    let again = only_run(driver.event(Event::Timer));
    assert_eq!(subs_of(&again), subs);
}

#[test]
fn r10_nothing_is_kept_over_lost_registrations_or_another_identity() {
    let authenticate = Event::Message(ClientMessage::Authenticate {
        base_version: 0,
        authentication: Authentication::Admin { acting_as: None },
    });
    for event in [Event::RegistrationsLost, authenticate] {
        let (mut driver, subs) = Driver::showing(&FIVE);
        let run = only_run(driver.invalidate(subs[2], 1, 20));
        assert_eq!(driver.event(event), []);
        let again = only_run(driver.release(&run, 21, &["9"], CLEAR));
        assert_eq!((subs_of(&again), again.keeps), (subs, false));
    }
}

#[test]
fn r13_a_mutation_that_touched_nothing_needs_no_execution() {
    let (mut driver, _) = Driver::showing(&FIVE);
    driver.mutation(0);
    let commands = driver.committed(0, 20);
    let [_, Command::Run(run)] = &commands[..] else {
        panic!("{commands:?}");
    };
    assert_eq!((run.queries.len(), run.keeps, run.min), (0, true, at(20)));
    let shown = only_transition(driver.release(run, 20, &[], CLEAR));
    assert_eq!((shown.end.ts, shown.modifications.len()), (ts(20), 0));
}

#[test]
fn a_new_query_is_executed_alone() {
    let (mut driver, subs) = Driver::showing(&FIVE);
    let run = only_run(driver.modify(1, vec![add(9)]));
    assert!(run.queries.len() == 1 && !subs.contains(&run.queries[0].sub));
    let shown = only_transition(driver.release(&run, 21, &["new"], CLEAR));
    assert_eq!((shown.end.query_set, shown.modifications.len()), (2, 1));
}

#[test]
fn r8_lost_registrations_rerun_everything_and_silently_if_unchanged() {
    let (mut driver, _) = Driver::showing(&["1", "2"]);
    let run = only_run(driver.event(Event::RegistrationsLost));
    assert_eq!(driver.event(Event::RegistrationsLost), []);
    let second = only_run(driver.finish(&run, 11, &["1", "2"]));
    assert_eq!(driver.finish(&second, 12, &["1", "2"]), []);
    assert_eq!(driver.session.take_counts().results_unchanged, 4);
}

#[test]
fn r12_an_older_snapshot_is_never_shown_and_a_lost_database_ends_the_connection() {
    let (mut driver, _) = Driver::showing(&["1"]);
    let run = only_run(driver.modify(1, vec![add(7)]));
    assert_eq!(driver.finish(&run, 9, &["0", "0"]), []);
    driver.now = driver.session.wake_at().unwrap();
    let run = only_run(driver.event(Event::Timer));
    let mut later = |boot| {
        let results = run
            .queries
            .iter()
            .map(|q| (q.sub, value("5").into()))
            .collect();
        let moment = Moment { boot, c: 2 };
        driver.session.handle(
            9_000,
            Event::RunFinished {
                run: run.number,
                moment,
                results,
                release: None,
            },
        )
    };
    let transition = only_transition(later(3));
    assert_eq!(
        transition.end.ts,
        (3 << 44) + 2,
        "a later boot may count from the start"
    );
    let run = only_run(driver.event(Event::RegistrationsLost));
    let commands = driver.finish(&run, 99, &["0", "0"]);
    assert_eq!(
        commands,
        [Command::Close {
            code: 1011,
            reason: "InternalServerError"
        }]
    );
}

#[test]
fn boot_zero_has_no_order_and_is_not_shown() {
    let mut driver = Driver::new();
    let run = only_run(driver.modify(0, vec![add(0)]));
    let results = vec![(run.queries[0].sub, value("1").into())];
    let moment = Moment { boot: 0, c: 50 };
    assert_eq!(
        driver.event(Event::RunFinished {
            run: run.number,
            moment,
            results,
            release: None,
        }),
        []
    );
    assert!(driver.session.wake_at().is_some());
}

#[test]
fn r13_transition_that_sees_a_mutation_waits_for_its_response() {
    let (mut driver, subs) = Driver::showing(&["1"]);
    assert!(matches!(&driver.mutation(0)[..], [Command::Mutate(_)]));
    let run = only_run(driver.invalidate(subs[0], 1, 20));
    assert_eq!(driver.finish(&run, 21, &["2"]), [], "held");
    let commands = driver.committed(0, 20);
    let [
        Command::Send(ServerMessage::MutationResponse {
            result: Ok((_, response_ts)),
            ..
        }),
        Command::Send(ServerMessage::Transition(transition)),
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    assert_eq!((*response_ts, transition.end.ts), (ts(20), ts(21)));
}

#[test]
fn r13_transition_follows_a_mutation_that_changed_nothing() {
    let (mut driver, _) = Driver::showing(&["1"]);
    driver.mutation(0);
    let commands = driver.committed(0, 20);
    let [
        Command::Send(ServerMessage::MutationResponse { .. }),
        Command::Run(run),
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    assert_eq!(run.min, at(20));
    let transition = only_transition(driver.finish(run, 20, &["1"]));
    assert_eq!(
        (transition.end.ts, transition.modifications.len()),
        (ts(20), 0)
    );
}

#[test]
fn r13_without_queries_no_run_is_needed() {
    let mut driver = Driver::new();
    driver.mutation(0);
    let commands = driver.committed(0, 20);
    let [
        Command::Send(_),
        Command::Send(ServerMessage::Transition(transition)),
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    assert_eq!(transition.end.ts, ts(20));
}

#[test]
fn answers_are_owed_until_a_transition_shows_them() {
    let (mut driver, _) = Driver::showing(&["1"]);
    assert!(!driver.session.owes_answers());
    driver.mutation(7);
    assert!(driver.session.owes_answers(), "it runs");
    let commands = driver.committed(7, 20);
    let run = only_run(
        commands
            .into_iter()
            .filter(|c| matches!(c, Command::Run(_)))
            .collect(),
    );
    assert!(driver.session.owes_answers(), "no transition shows it");
    driver.finish(&run, 20, &["2"]);
    assert!(!driver.session.owes_answers());
    driver.mutation(8);
    driver.event(Event::Disconnected);
    assert!(
        !driver.session.owes_answers(),
        "nobody is there to be answered"
    );
}

#[test]
fn r14_mutations_run_in_order_one_at_a_time_and_failures_are_told() {
    let mut driver = Driver::new();
    assert!(matches!(&driver.mutation(3)[..], [Command::Mutate(m)] if m.session_id == "id"));
    assert_eq!(driver.mutation(4), []);
    let failure = Failure {
        message: "no".into(),
        data: Some("1".into()),
    };
    let outcome = MutationOutcome::Failed {
        failure,
        log_lines: vec![],
    };
    let commands = driver.event(Event::MutationFinished {
        request_id: 3,
        outcome,
    });
    // The transition says nothing new: some clients take up a failure with data only with one.
    let [
        Command::Send(ServerMessage::MutationResponse { result, .. }),
        Command::Mutate(next),
        Command::Send(ServerMessage::Transition(transition)),
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    assert!(result.is_err());
    assert_eq!(next.request_id, 4);
    assert_eq!(
        (transition.start, &transition.modifications[..]),
        (transition.end, &[][..])
    );
}

#[test]
fn r15_only_changed_results_are_sent() {
    let (mut driver, subs) = Driver::showing(&["1", "2", "3"]);
    let run = only_run(driver.invalidate(subs[1], 1, 20));
    let transition = only_transition(driver.finish(&run, 20, &["1", "9", "3"]));
    let [StateModification::Updated { query_id: 1, .. }] = &transition.modifications[..] else {
        panic!("{transition:?}");
    };
    let counts = driver.session.take_counts();
    assert_eq!((counts.results_sent, counts.results_unchanged), (4, 2));
}

#[test]
fn changes_of_the_query_set_are_coalesced_while_a_run_is_under_way() {
    let (mut driver, subs) = Driver::showing(&["1"]);
    let run = only_run(driver.modify(1, vec![add(7)]));
    assert_eq!(driver.modify(2, vec![add(8)]), []);
    assert_eq!(
        driver.modify(3, vec![Modification::Remove { query_id: 0 }]),
        []
    );
    let commands = driver.finish(&run, 20, &["1", "7"]);
    let [
        Command::Send(ServerMessage::Transition(transition)),
        Command::Run(next),
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    assert_eq!(
        (transition.end.query_set, transition.modifications.len()),
        (2, 1)
    );
    assert!(next.queries.iter().all(|q| q.sub != subs[0]));
    let commands = driver.finish(next, 21, &["7", "8"]);
    let [
        Command::Unregister(gone),
        Command::Send(ServerMessage::Transition(transition)),
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    assert_eq!((gone, transition.end.query_set), (&subs, 4));
    assert_eq!(
        transition.modifications[0],
        StateModification::Removed { query_id: 0 }
    );
}

#[test]
fn removal_alone_needs_no_run() {
    let (mut driver, subs) = Driver::showing(&["1", "2"]);
    let commands = driver.modify(1, vec![Modification::Remove { query_id: 0 }]);
    let [
        Command::Unregister(gone),
        Command::Send(ServerMessage::Transition(transition)),
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    assert_eq!(gone, &subs[..1]);
    assert_eq!(
        transition.end,
        Version {
            query_set: 2,
            identity: 0,
            ts: ts(10)
        }
    );
}

#[test]
fn unregistered_results_are_shown_and_run_again() {
    let mut driver = Driver::new();
    let run = only_run(driver.modify(0, vec![add(0)]));
    let result = QueryResult {
        registered: None,
        ..value("1")
    };
    let results = vec![(run.queries[0].sub, result.into())];
    driver.event(Event::RunFinished {
        run: run.number,
        moment: at(5),
        results,
        release: None,
    });
    assert_eq!(driver.session.wake_at(), Some(200));
    driver.now = 200;
    let run = only_run(driver.event(Event::Timer));
    let result = QueryResult {
        registered: None,
        not_live: Some("a foreign table".into()),
        ..value("1")
    };
    let results = vec![(run.queries[0].sub, result.into())];
    driver.event(Event::RunFinished {
        run: run.number,
        moment: at(6),
        results,
        release: None,
    });
    assert_eq!(driver.session.wake_at(), None, "can never be live");
}

#[test]
fn authentication_moves_the_identity() {
    let (mut driver, _) = Driver::showing(&["1"]);
    let acting_as = Some(r#"{"subject":"u"}"#.to_owned());
    let authentication = Authentication::Admin {
        acting_as: acting_as.clone(),
    };
    let run = only_run(driver.message(ClientMessage::Authenticate {
        base_version: 0,
        authentication,
    }));
    assert_eq!(run.identity.as_deref(), acting_as.as_deref());
    let transition = only_transition(driver.finish(&run, 20, &["1"]));
    assert_eq!(
        (transition.end.identity, transition.modifications.len()),
        (1, 0)
    );
    let authentication = Authentication::Refused {
        message: "no providers".into(),
    };
    let commands = driver.message(ClientMessage::Authenticate {
        base_version: 1,
        authentication,
    });
    let [
        Command::Send(ServerMessage::AuthError {
            base_version: 1, ..
        }),
        Command::Close { .. },
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
}

#[test]
fn nothing_is_run_with_a_token_that_has_ended() {
    let (mut driver, _) = Driver::showing(&["1"]);
    let user = |lasts_ms| Authentication::User {
        identity: r#"{"user":{}}"#.to_owned(),
        lasts_ms,
    };
    let refreshed = |base_version, lasts_ms| ClientMessage::Authenticate {
        base_version,
        authentication: user(lasts_ms),
    };
    let run = only_run(driver.message(refreshed(0, 1_000)));
    only_transition(driver.finish(&run, 20, &["1"]));
    // Time alone does not end the session.
    driver.now += 5_000;
    assert!(driver.event(Event::Timer).is_empty());
    let commands = driver.mutation(1);
    let [
        Command::Send(ServerMessage::AuthError {
            base_version: 1,
            update_attempted: false,
            ..
        }),
        Command::Close { .. },
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    // With a new one in time it goes on.
    let (mut driver, _) = Driver::showing(&["1"]);
    let run = only_run(driver.message(refreshed(0, 1_000)));
    only_transition(driver.finish(&run, 20, &["1"]));
    driver.now += 900;
    let run = only_run(driver.message(refreshed(1, 1_000)));
    only_transition(driver.finish(&run, 21, &["1"]));
    driver.now += 900;
    let commands = driver.mutation(1);
    assert!(
        matches!(&commands[..], [Command::Mutate(_)]),
        "{commands:?}"
    );
}

#[test]
fn violations_of_the_protocol_are_fatal() {
    let mut first = Session::new(1, Limits::default());
    assert!(fatal(&first.handle(0, Event::Message(ClientMessage::Event))).contains("Connect"));
    let connect = ClientMessage::Connect {
        session_id: "x".into(),
        max_observed_timestamp: None,
    };
    assert!(fatal(&Driver::new().message(connect)).contains("Connect"));
    assert!(fatal(&Driver::new().modify(3, vec![])).starts_with("BaseVersionMismatch"));
    assert!(fatal(&Driver::new().modify(0, vec![add(1), add(1)])).contains("twice"));
    let remove = Modification::Remove { query_id: 1 };
    assert!(fatal(&Driver::new().modify(0, vec![remove])).contains("not in the set"));
    let authentication = Authentication::Anonymous;
    let message = ClientMessage::Authenticate {
        base_version: 5,
        authentication,
    };
    assert!(fatal(&Driver::new().message(message)).starts_with("BaseVersionMismatch"));
    assert!(fatal(&Driver::new().event(Event::Malformed("not JSON".into()))).contains("JSON"));
}

#[test]
fn actions_are_refused_and_telemetry_is_ignored() {
    let mut driver = Driver::new();
    let commands = driver.message(ClientMessage::Action { request_id: 1 });
    assert!(matches!(
        &commands[..],
        [Command::Send(ServerMessage::ActionResponse { .. })]
    ));
    assert_eq!(driver.message(ClientMessage::Event), []);
}

#[test]
fn a_slow_client_gets_the_newest_state() {
    let (mut driver, subs) = Driver::showing(&["1"]);
    let mut c = 20;
    let mut unsent = 0;
    let mut commands = driver.session.handle(
        0,
        Event::Invalidated {
            sub: subs[0],
            generation: 1,
            moment: at(c),
        },
    );
    while let Some(Command::Run(run)) = commands.pop() {
        let results = vec![(subs[0], value(&c.to_string()).into())];
        let (number, moment) = (run.number, at(c));
        let finished = Event::RunFinished {
            run: number,
            moment,
            results,
            release: None,
        };
        unsent += driver.session.handle(0, finished).len();
        c += 1;
        let moment = at(c);
        let stale = Event::Invalidated {
            sub: subs[0],
            generation: number,
            moment,
        };
        commands = driver.session.handle(0, stale);
    }
    assert_eq!(unsent, 2);
    let run = only_run(driver.session.handle(0, Event::Sent));
    assert_eq!(run.min, at(c));
}

#[test]
fn a_flood_of_messages_stops_being_read() {
    let mut session = Session::new(
        1,
        Limits {
            backlog: 3,
            ..Limits::default()
        },
    );
    let connect = ClientMessage::Connect {
        session_id: "id".into(),
        max_observed_timestamp: None,
    };
    session.handle(0, Event::Message(connect));
    for request_id in 0..3 {
        assert!(session.accepts_messages());
        session.handle(0, Event::Message(ClientMessage::Action { request_id }));
    }
    assert!(!session.accepts_messages());
    session.handle(0, Event::Sent);
    assert!(session.accepts_messages());
}

#[test]
fn nothing_is_unregistered_before_the_run_that_registers_it_is_over() {
    let (mut driver, subs) = Driver::showing(&["1"]);
    let run = only_run(driver.invalidate(subs[0], 1, 20));
    assert_eq!(driver.event(Event::Disconnected), []);
    assert!(!driver.session.is_finished());
    assert_eq!(
        driver.event(Event::RunFailed { run: run.number }),
        [Command::Unregister(subs)]
    );
    assert!(driver.session.is_finished());
}

/// The end of a page: what a run is given, and what the client is sent.
#[test]
fn the_journal_of_the_shown_result_goes_into_the_next_run() {
    let mut driver = Driver::new();
    let kept = Modification::Add {
        query_id: 1,
        path: "m:q1".into(),
        args: "[{}]".into(),
        journal: Some("from before".into()),
    };
    let mut run = only_run(driver.modify(0, vec![add(0), kept]));
    let journals = |run: &Run| -> Vec<Option<String>> {
        run.queries.iter().map(|q| q.journal.clone()).collect()
    };
    assert_eq!(journals(&run), [None, Some("from before".into())]);
    let failure = || Failure {
        message: "no".into(),
        data: None,
    };
    // What a run gives for each query (is it an error, its journal), and what is sent and given on.
    type Given<'a> = [(bool, Option<&'a str>); 2];
    let steps: [(Given<'_>, [Option<&str>; 2]); 4] = [
        (
            [(false, Some("a")), (true, None)],
            [Some("a"), Some("from before")],
        ),
        ([(true, None), (true, Some("b"))], [Some("a"), Some("b")]),
        ([(false, None), (false, Some("c"))], [None, Some("c")]),
        ([(true, None), (false, None)], [None, None]),
    ];
    for (n, (results, expected)) in (0u32..).zip(steps) {
        let result = |(failed, journal): (bool, Option<&str>)| QueryResult {
            outcome: if failed {
                Err(failure())
            } else {
                Ok(n.to_string())
            },
            journal: journal.map(Into::into),
            ..value("")
        };
        let subs: Vec<Sub> = run.queries.iter().map(|q| q.sub).collect();
        let number = run.number;
        let c = 10 + u64::from(n);
        let shown = only_transition(
            driver.event(Event::RunFinished {
                run: number,
                moment: at(c),
                results: subs
                    .iter()
                    .copied()
                    .zip(results.map(|step| result(step).into()))
                    .collect(),
                release: None,
            }),
        );
        for modification in &shown.modifications {
            if let StateModification::Updated {
                query_id, journal, ..
            } = modification
            {
                assert_eq!(journal.as_deref(), expected[*query_id as usize], "step {n}");
            }
        }
        run = only_run(driver.invalidate(subs[0], number, c + 1));
        assert_eq!(
            journals(&run),
            expected.map(|journal| journal.map(Into::into)),
            "step {n}"
        );
    }
}
