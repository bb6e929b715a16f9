//! Cases of their own: what is executed once, what is not shared, who is told when.

use super::*;

/// All sessions show the same query, and one write touches it.
#[test]
fn one_execution_serves_all() {
    for crowd in [1, SESSIONS, SESSIONS + 1] {
        one_execution_serves_all_of(World::with_crowd(crowd));
    }
}

fn one_execution_serves_all_of(mut world: World) {
    for n in 0..SESSIONS {
        world.modify(n, Some(1));
    }
    world.settle();
    let before = world.executed;
    assert_eq!(before, 1);
    world.write(vec![1]);
    world.settle();
    assert_eq!(world.executed - before, 1);
}

/// A function that asks who the caller is gives each caller a result of its own.
#[test]
fn what_reads_the_identity_is_not_shared() {
    let mut world = World::new();
    for n in 0..SESSIONS {
        world.modify(n, Some(0));
        world.modify(n, Some(1));
    }
    world.settle();
    let before = world.executed;
    world.write(vec![1]);
    world.settle();
    assert_eq!(world.executed - before, SESSIONS as u64);
}

/// A run of one query that needs a snapshot from `min` on.
fn ask_from(number: RunNumber, min: u64) -> Ask<To> {
    let query = RunQuery {
        sub: number,
        path: "m:f".into(),
        args: "[{}]".into(),
        journal: None,
    };
    let run = Run {
        number,
        min: at(min),
        fresh: false,
        identity: None,
        queries: vec![query],
        keeps: false,
    };
    Ask {
        asker: To(0),
        run,
        is_admin: false,
        alone: false,
    }
}

fn outcome_at(c: u64, clock: bool) -> Outcome {
    let result = QueryResult {
        outcome: Ok("1".into()),
        log_lines: vec![],
        journal: None,
        registered: Some(1),
        not_live: None,
    };
    let observed = Observed {
        identity: false,
        clock,
    };
    Outcome {
        moment: at(c),
        results: vec![(result, observed)],
        release: None,
    }
}

/// A query that is written all the time is slowed down. A run that finds the batch that it joined too old has to wait,
/// too, and the shell is told until when.
#[test]
fn who_asks_again_for_what_is_slowed_down_is_not_forgotten() {
    let mut sharing: Sharing<To> = Sharing::default();
    let (mut now, mut c) = (1_000, 1);
    for number in 1..70 {
        let now_or_later = match sharing.ask(now, Some(1), ask_from(number, c)) {
            Asked::Queued => now,
            Asked::Later(at) => at,
            other => panic!("{other:?}"),
        };
        now = now_or_later;
        let batch = sharing.next_batch(now, 1, true).unwrap();
        c += 1;
        sharing.done(now + 1, &batch, outcome_at(c, false), 1.0);
        let told = sharing.invalidated(now + 2, batch.calls[0].sub, at(c + 1));
        assert_eq!(told.told.len(), 1);
        now += 3;
        c += 1;
    }
    let Asked::Later(begins) = sharing.ask(now, Some(1), ask_from(70, c)) else {
        panic!("it is not slowed down");
    };
    let batch = sharing.next_batch(begins, 1, true).unwrap();
    let joined = sharing.ask(begins + 1, Some(1), ask_from(71, c + 5));
    assert!(matches!(joined, Asked::Joined));
    let done = sharing.done(begins + 2, &batch, outcome_at(c + 1, false), 1.0);
    assert_eq!(done.told.len(), 1);
    let at = done.later.expect("a time for the other run");
    assert!(at > begins + 2 && !done.more);
    let batch = sharing.next_batch(at, 1, true).unwrap();
    let done = sharing.done(at, &batch, outcome_at(c + 5, false), 1.0);
    assert_eq!(done.told[0].run, 71);
}

/// What looked at the clock is given to others for a second only.
#[test]
fn what_reads_the_clock_is_shared_for_a_second() {
    let mut sharing: Sharing<To> = Sharing::default();
    let ask = |number| ask_from(number, 1);
    assert!(matches!(sharing.ask(0, Some(1), ask(1)), Asked::Queued));
    let batch = sharing.next_batch(0, 1, true).unwrap();
    let outcome = outcome_at(5, true);
    let done = sharing.done(0, &batch, outcome, 1.0);
    assert_eq!(done.told.len(), 1);
    assert!(matches!(
        sharing.ask(999, Some(1), ask(2)),
        Asked::Served(_)
    ));
    assert!(matches!(sharing.ask(1_000, Some(1), ask(3)), Asked::Queued));
    let another_owner = sharing.ask(999, Some(2), ask(4));
    assert!(!matches!(another_owner, Asked::Served(_)));
}

/// What a crowd shows is executed before the crowd is told; then each has its result at once.
#[test]
fn a_crowd_is_told_when_the_next_result_is_there() {
    let mut sharing: Sharing<To> = Sharing::with_crowd(2);
    let asks = |sharing: &mut Sharing<To>, min| {
        for number in [1, 2] {
            let _ = sharing.ask(0, Some(1), ask_from(number, min));
        }
    };
    asks(&mut sharing, 1);
    let first = sharing.next_batch(0, 1, true).unwrap();
    assert_eq!(
        sharing
            .done(0, &first, outcome_at(5, false), 1.0)
            .told
            .len(),
        2
    );
    let invalidated = sharing.invalidated(9, first.calls[0].sub, at(6));
    assert!(invalidated.told.is_empty());
    assert_eq!(invalidated.wanted, Some(9));
    let next = sharing.next_batch(9, 1, true).unwrap();
    let done = sharing.done(9, &next, outcome_at(6, false), 1.0);
    assert!(done.told.is_empty() && done.unregister.is_empty());
    assert_eq!(done.news.len(), 2);
    assert!(
        done.news
            .iter()
            .all(|told| told.news.is_kept_anew() && told.news.moment == at(6))
    );
    let ask = ask_from(1, 6);
    assert!(matches!(sharing.ask(9, Some(1), ask), Asked::Served(_)));
    // Both leave; only then is it unregistered.
    let holds = done
        .news
        .into_iter()
        .map(|told| told.news.refused().unwrap());
    let unheld: Vec<Sub> = holds.filter_map(|hold| sharing.release(9, hold)).collect();
    assert_eq!(unheld, [next.calls[0].sub]);
}

/// A crowd is told also if what was executed for it came to nothing, and before anyone is given a release.
#[test]
fn a_crowd_is_told_in_any_case() {
    for by_release in [false, true] {
        let mut sharing: Sharing<To> = Sharing::with_crowd(1);
        let _ = sharing.ask(0, Some(1), ask_from(1, 1));
        let first = sharing.next_batch(0, 1, true).unwrap();
        sharing.done(0, &first, outcome_at(5, false), 1.0);
        assert!(
            sharing
                .invalidated(9, first.calls[0].sub, at(6))
                .told
                .is_empty()
        );
        let ahead = sharing.next_batch(9, 1, true).unwrap();
        let done = if by_release {
            let mut ask = ask_from(7, 5);
            ask.run.queries[0].path = "m:g".into();
            ask.run.keeps = true;
            assert!(matches!(sharing.ask(9, Some(1), ask), Asked::Queued));
            let other = sharing.next_batch(9, 1, true).unwrap();
            let release = Release {
                boot: 1,
                w: 9,
                clear: true,
            };
            let mut outcome = outcome_at(6, false);
            outcome.release = Some(release);
            sharing.done(9, &other, outcome, 1.0)
        } else {
            sharing.failed(&ahead)
        };
        assert_eq!(done.news.len(), 1, "by a release: {by_release}");
        assert!(!done.news[0].news.is_kept_anew());
    }
}
