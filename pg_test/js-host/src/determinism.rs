//! Two runs of a function with the same seed and time give the same, byte for byte.

use crate::support::{App, SEED, error, eval, on_new_thread};
use serde_json::json;

/// Looks at whatever might differ between two processes.
const PROBE: &str = r#"
const imported = [Date.now(), Math.random(), crypto.randomUUID()];
export const f = query(async () => {
  const words = ["Zoë", "apple", "Äpfel", "zebra", "Apple", "ångström", "10", "9"];
  const pairs = Array.from({ length: 600 }, (_, i) => ({ key: i % 7, i }));
  pairs.sort((a, b) => a.key - b.key);
  const stable = pairs.every((pair, i) => i === 0 || pairs[i - 1].key < pair.key || pairs[i - 1].i < pair.i);
  const date = new Date("2024-03-31T01:30:00Z");
  console.log(date, words, { imported }, new Map([[1, new Set(words)]]));
  console.warn(new Error("stack").stack.replace(/\n.*pg_live:.*/g, ""));
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("x"));
  return {
    imported,
    now: [Date.now(), new Date().toISOString(), Date(), performance.now(), performance.timeOrigin],
    random: [Math.random(), Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(5))]],
    dates: ["2024-03-31", "2024-03-31T02:30", "Mar 31, 2024 2:30", "31 March 2024 02:30 GMT+1"].map((text) => Date.parse(text)),
    zone: [date.getTimezoneOffset(), date.toString(), date.toLocaleString(), Intl.DateTimeFormat().resolvedOptions().timeZone],
    locale: [Intl.DateTimeFormat().resolvedOptions().locale, (1234567.891).toLocaleString(), words.toSorted((a, b) => a.localeCompare(b)),
      new Intl.NumberFormat("de", { style: "currency", currency: "EUR" }).format(1234.5), new Intl.DateTimeFormat("fr", { dateStyle: "full" }).format(),
      "ﬁİ".normalize("NFKC").toLowerCase(), new Intl.PluralRules("pl").select(22), new Intl.Segmenter().segment("a👩‍👩‍👧b")[Symbol.iterator]().next().value.segment],
    math: ["sin", "cos", "tan", "exp", "log", "log10", "cbrt", "sinh", "atanh", "expm1"].map((name) => Math[name](0.7)).concat(Math.pow(1.1, 1.7), Math.hypot(3, 4.5), 0.1 + 0.2, Math.fround(0.1)),
    sorted: [stable, [...words].sort(), [3, 1, 2, 10].sort()],
    keys: Object.keys({ b: 1, 2: 1, a: 1, 1: 1 }),
    hash: new Uint8Array(hash).toHex(),
    weak: new WeakRef({}).deref() !== undefined,
  };
});
"#;

/// Result and log lines as one text.
fn probe(seed: [u8; 32]) -> String {
    let outcome = on_new_thread(move || App::new(PROBE).call_here(seed));
    let result: serde_json::Value = serde_json::from_str(&outcome.result.unwrap()).unwrap();
    let result = serde_json::to_string_pretty(&result).unwrap();
    format!("{result}\n{}\n", outcome.log_lines.join("\n"))
}

#[test]
fn two_engines_and_all_processes_agree() {
    let first = probe(SEED);
    assert_eq!(first, probe(SEED));
    crate::support::assert_golden("determinism", &first);
}

#[test]
fn another_seed_changes_random_numbers_only() {
    let (one, other) = (probe(SEED), probe([8; 32]));
    let differing: Vec<&str> = one
        .lines()
        .zip(other.lines())
        .filter(|(a, b)| a != b)
        .map(|(a, _)| a)
        .collect();
    // Two numbers, a UUID, five bytes, of which one may be the same by chance.
    assert!((7..=8).contains(&differing.len()), "{differing:?}");
}

#[test]
fn the_clock_stands() {
    let body = "(async () => { const all = [Date.now()]; for (let i = 0; i < 3; i++) { await Convex.asyncSyscall('x', '{}'); all.push(Date.now(), performance.now()); } return new Set(all).size; })()";
    assert_eq!(eval(body), json!(2));
    assert_eq!(eval("new Date().getMilliseconds()"), json!(123));
}

#[test]
fn syscalls_run_in_order_with_microtasks_between() {
    let body = "(async () => {
        const seen = [];
        const note = (name) => () => seen.push(name);
        Promise.resolve().then(note('microtask 1')).then(note('microtask 2'));
        const first = Convex.asyncSyscall('a', '1').then(note('a 1')).then(note('after a 1'));
        const second = Convex.asyncSyscall('b', '2').then(note('b 2'));
        const third = Convex.asyncSyscall('fail', '3').catch(note('fail 3'));
        seen.push('synchronous ' + Convex.syscall('echo', '0'));
        await Promise.all([third, second, first]);
        return [seen, JSON.parse(await Convex.asyncSyscall('executed', ''))];
    })()";
    let expected = json!([
        [
            "synchronous 0",
            "microtask 1",
            "microtask 2",
            "a 1",
            "after a 1",
            "b 2",
            "fail 3"
        ],
        ["a 1", "b 2", "fail 3", "executed "]
    ]);
    assert_eq!(eval(body), expected);
}

#[test]
fn the_database_is_not_there_at_import() {
    for call in [
        "Convex.asyncSyscall('x', '{}')",
        "Convex.syscall('echo', '{}')",
    ] {
        let source = format!(
            "let caught; try {{ {call}; }} catch (error) {{ caught = error.message; }} export const f = query(() => caught);"
        );
        let result = App::new(&source).call().result.unwrap();
        assert!(result.contains(" at import time"), "{result}");
    }
}

#[test]
fn a_promise_that_nothing_settles() {
    assert_eq!(
        error("await new Promise(() => {});"),
        "Returned promise will never resolve"
    );
}

#[test]
fn an_unhandled_rejection_ends_the_function() {
    assert_eq!(
        error("Promise.reject(new Error('lost')); await Convex.asyncSyscall('x', '{}');"),
        "Uncaught Error: lost"
    );
    assert_eq!(
        error("Convex.asyncSyscall('fail', '1'); await Convex.asyncSyscall('x', '{}');"),
        "Uncaught Error: failed 1"
    );
    // One that is handled in time does not.
    let body = "(async () => { const late = Promise.reject(new Error('no')); late.catch(() => {}); return 1; })()";
    assert_eq!(eval(body), json!(1));
}
