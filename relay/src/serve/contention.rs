//! Mutations that keep getting into each other's way take turns instead of trying in vain.
//!
//! What a mutation will read and write is not known before it runs. But calls that conflict often have an argument in
//! common: the account, the counter, the room. For each function with conflicts it is counted how often calls with one
//! argument meet them. An argument whose calls meet far more than others is *hot* for a while, and calls with it run one
//! after the other in this relay, before they take a connection.
//!
//! That is an order and nothing else: whether a transaction may commit is decided by Postgres, as without it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::{Mutex as Turns, OwnedMutexGuard};

/// Fewer conflicts are chance.
const ENOUGH: f64 = 3.0;
/// An argument is hot if so many of its calls meet conflicts ...
const OFTEN: f64 = 0.2;
/// ... and so many times as many as of the function's other calls ...
const TIMES_OTHERS: f64 = 1.5;
/// ... of which there must be enough to compare with.
const OTHERS: f64 = 8.0;
/// One that all calls have is hot if most of many calls meet conflicts.
const MANY: f64 = 32.0;
const MOSTLY: f64 = 0.6;
/// How long it stays so after the last conflict. Then it is tried without turns, which costs a few conflicts.
const STAYS_HOT: Duration = Duration::from_secs(2);
/// After so many calls what is known counts half.
const MEMORY: f64 = 512.0;
/// Functions that are watched, and arguments of each; beyond that all is learned again.
const MOST_FUNCTIONS: usize = 1_000;
const MOST_ARGUMENTS: usize = 4_096;

/// What is known of mutations that lost against others.
pub(crate) struct Contention {
    hash: RandomState,
    functions: Mutex<HashMap<String, Function>>,
}

#[derive(Default)]
struct Function {
    calls: f64,
    conflicts: f64,
    arguments: HashMap<u64, Argument>,
}

#[derive(Default)]
struct Argument {
    calls: f64,
    conflicts: f64,
    hot_until: Option<Instant>,
    turns: Arc<Turns<()>>,
}

/// That it is this call's turn: until it is dropped.
pub(crate) struct Turn {
    _turn: OwnedMutexGuard<()>,
}

impl Argument {
    /// Whether its calls meet far more conflicts than the others of the function, of all of which so many did.
    fn stands_out(&self, (calls, conflicts): (f64, f64)) -> bool {
        let rate = self.rate();
        let (others, others_conflicts) = (calls - self.calls, conflicts - self.conflicts);
        if others < OTHERS {
            return self.calls >= MANY && rate >= MOSTLY;
        }
        self.conflicts >= ENOUGH
            && rate >= OFTEN
            && rate >= TIMES_OTHERS * others_conflicts / others
    }

    fn rate(&self) -> f64 {
        self.conflicts / self.calls.max(1.0)
    }

    fn is_hot(&self, now: Instant) -> bool {
        self.hot_until.is_some_and(|until| now < until)
    }

    fn is_of_use(&self, now: Instant) -> bool {
        self.conflicts >= 0.5 || self.is_hot(now)
    }
}

impl Contention {
    pub(crate) fn new() -> Self {
        Self {
            hash: RandomState::new(),
            functions: Mutex::default(),
        }
    }

    /// Waits until no other call with the same hot argument runs. `None`: it has none.
    pub(crate) async fn turn(&self, path: &str, args: &str) -> Option<Turn> {
        let turns = self.begin(Instant::now(), path, args)?;
        Some(Turn {
            _turn: turns.lock_owned().await,
        })
    }

    /// A call is about to run: where it has to wait for its turn. Only calls that need not are counted: those that take
    /// turns say nothing of how it would be without.
    fn begin(&self, now: Instant, path: &str, args: &str) -> Option<Arc<Turns<()>>> {
        let mut functions = self.lock();
        let function = functions.get_mut(path)?;
        let keys = self.keys(args);
        let known = keys.iter().filter_map(|key| function.arguments.get(key));
        let hot = known.filter(|argument| argument.is_hot(now));
        let hottest = hot.max_by(|a, b| a.rate().total_cmp(&b.rate()));
        if let Some(argument) = hottest {
            return Some(Arc::clone(&argument.turns));
        }
        function.calls += 1.0;
        for key in keys {
            if let Some(argument) = function.arguments.get_mut(&key) {
                argument.calls += 1.0;
            }
        }
        function.forget(now);
        None
    }

    /// A call lost against another one. Whether the next attempt has to wait for its turn.
    pub(crate) fn lost(&self, path: &str, args: &str) -> bool {
        self.note_conflict(Instant::now(), path, args)
    }

    fn note_conflict(&self, now: Instant, path: &str, args: &str) -> bool {
        let mut functions = self.lock();
        if functions.len() >= MOST_FUNCTIONS && !functions.contains_key(path) {
            functions.clear();
        }
        let function = functions.entry(path.to_owned()).or_default();
        if function.arguments.len() >= MOST_ARGUMENTS {
            *function = Function::default();
        }
        function.conflicts += 1.0;
        function.calls = function.calls.max(function.conflicts);
        let all = (function.calls, function.conflicts);
        let mut is_hot = false;
        for key in self.keys(args) {
            let argument = function.arguments.entry(key).or_default();
            argument.conflicts += 1.0;
            argument.calls = argument.calls.max(argument.conflicts);
            if argument.stands_out(all) {
                argument.hot_until = Some(now + STAYS_HOT);
            }
            is_hot |= argument.is_hot(now);
        }
        is_hot
    }

    /// The arguments of a call, and what all calls of a function have in common.
    fn keys(&self, args: &str) -> Vec<u64> {
        let mut keys = vec![self.hash.hash_one("")];
        // `[{...}]`; whatever else it is the function refuses.
        if let Ok([fields]) = serde_json::from_str::<[HashMap<&str, &RawValue>; 1]>(args) {
            let fields = fields.into_iter();
            keys.extend(fields.map(|(name, value)| self.hash.hash_one((name, value.get()))));
        }
        keys
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Function>> {
        self.functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Function {
    fn forget(&mut self, now: Instant) {
        if self.calls < MEMORY {
            return;
        }
        self.calls /= 2.0;
        self.conflicts /= 2.0;
        for argument in self.arguments.values_mut() {
            argument.calls /= 2.0;
            argument.conflicts /= 2.0;
        }
        self.arguments.retain(|_, argument| argument.is_of_use(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSFER: &str = "accounts:transfer";

    fn args(from: u32, to: u32) -> String {
        format!(r#"[{{"from":"account {from}","to":"account {to}","amount":1}}]"#)
    }

    /// Calls of which those from account 0 conflict three times in four, others once in ten.
    fn skewed(contention: &Contention, now: Instant) {
        for n in 0..200 {
            let hot = n % 3 == 0;
            let args = args(if hot { 0 } else { 10 + n }, 1_000 + n);
            if contention.begin(now, TRANSFER, &args).is_none()
                && (if hot { n % 4 != 0 } else { n % 10 == 1 })
            {
                contention.note_conflict(now, TRANSFER, &args);
            }
        }
    }

    #[test]
    fn calls_with_the_argument_that_stands_out_take_turns_and_others_do_not() {
        let (contention, now) = (Contention::new(), Instant::now());
        skewed(&contention, now);
        let first = contention.begin(now, TRANSFER, &args(0, 5)).unwrap();
        let second = contention.begin(now, TRANSFER, &args(0, 6)).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert!(contention.begin(now, TRANSFER, &args(7, 8)).is_none());
        assert!(
            contention
                .begin(now, "accounts:other", &args(0, 5))
                .is_none()
        );
    }

    #[test]
    fn it_passes() {
        let (contention, now) = (Contention::new(), Instant::now());
        skewed(&contention, now);
        let later = now + STAYS_HOT;
        assert!(contention.begin(later, TRANSFER, &args(0, 5)).is_none());
    }

    #[test]
    fn what_all_calls_have_in_common_is_hot_only_if_most_conflict() {
        let now = Instant::now();
        for (conflicts_of_8, is_hot) in [(2, false), (7, true)] {
            let contention = Contention::new();
            let mut took_turns = false;
            for n in 0..100 {
                match contention.begin(now, "m:add", "[{}]") {
                    Some(_) => took_turns = true,
                    None if n % 8 < conflicts_of_8 => {
                        contention.note_conflict(now, "m:add", "[{}]");
                    }
                    None => {}
                }
            }
            assert_eq!(took_turns, is_hot, "{conflicts_of_8}");
        }
    }

    #[test]
    fn what_is_no_list_of_one_object_is_let_through() {
        let (contention, now) = (Contention::new(), Instant::now());
        for args in ["", "[]", "[1]", "[{},{}]", "{", r#"[{"a":1,"a":2}]"#] {
            assert!(!contention.note_conflict(now, "m:f", args), "{args}");
            assert!(contention.begin(now, "m:f", args).is_none(), "{args}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let (contention, now) = (Contention::new(), Instant::now());
        for n in 0..20_000 {
            contention.note_conflict(now, TRANSFER, &args(n, n + 1));
            contention.begin(now, TRANSFER, &args(n, n + 1));
        }
        for n in 0..3_000 {
            contention.note_conflict(now, &format!("m:f{n}"), "[{}]");
        }
        let functions = contention.lock();
        assert!(functions.len() <= MOST_FUNCTIONS);
        let arguments = functions.values().map(|function| function.arguments.len());
        assert!(arguments.max() <= Some(MOST_ARGUMENTS + 4));
    }
}
