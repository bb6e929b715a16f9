use super::*;

fn text(source: &str) -> String {
    guard(source).expect("is not refused").source
}

fn refusal(source: &str) -> Refusal {
    guard(source).expect_err("is refused")
}

fn assigned(name: &str) -> Refusal {
    Refusal::Assigned(name.to_owned())
}

#[test]
fn variables_of_the_module_that_functions_assign_are_refused() {
    assert_eq!(
        refusal("let n = 0; export const f = () => ++n"),
        assigned("n")
    );
    assert_eq!(
        refusal("var c; function f(v) { return (c ??= v) }"),
        assigned("c")
    );
    assert_eq!(
        refusal("let a; const f = (v) => { [a] = v }"),
        assigned("a")
    );
    assert_eq!(
        refusal("let a; const f = (v) => { ({ x: a } = v) }"),
        assigned("a")
    );
    assert_eq!(
        refusal("let a; const f = (v) => { for (a of v); }"),
        assigned("a")
    );
    assert_eq!(refusal("class A { static n() { A = 1 } }"), assigned("A"));
    assert_eq!(
        refusal("function g() {} function f() { g = 1 }"),
        assigned("g")
    );
    assert_eq!(refusal("let a; class B { x = a++ }"), assigned("a"));
    assert_eq!(
        refusal("let a; export { a }; const f = (x = a = 2) => x"),
        assigned("a")
    );
}

#[test]
fn assignments_of_the_modules_own_statements_are_not() {
    let source = "let a = 1; a = 2; for (a of [3]);\n{ a++ }\n";
    assert_eq!(text(source), source);
}

#[test]
fn what_is_not_followed_is_refused() {
    for (source, what) in [
        ("await 1", "await at its top"),
        ("for await (const x of []);", "await at its top"),
        ("const m = import.meta", "import.meta"),
        (
            "const o = { m() { return super.x } }",
            "super in an object literal",
        ),
        (
            "const o = { get m() { return () => super.x } }",
            "super in an object literal",
        ),
        (
            "class A { constructor(o) { return o } } class B extends A { #x = 1 }",
            "private elements in a class that extends another",
        ),
        ("async function* f() {}", "async generators"),
        ("const f = () => $pg_live_guard", "a name of pg_live"),
        ("const $pg_live_take = 1", "a name of pg_live"),
        ("const f = () => \\u0024pg_live_guard", "a name of pg_live"),
    ] {
        assert_eq!(refusal(source), Refusal::Uses(what), "{source}");
    }
    assert!(matches!(refusal("let a = ;"), Refusal::Syntax(_)));
}

#[test]
fn variables_that_closures_use_are_handed_over() {
    assert_eq!(
        text("const a = 1; export const f = () => a"),
        ";$pg_live_guard&&$pg_live_guard($pg_live_take=>{$pg_live_take(\"a\",()=>a);});const a = 1; export const f = () => a"
    );
    assert_eq!(
        text("export const f = (x) => () => x"),
        "export const f = (x) => ($pg_live_guard&&$pg_live_guard($pg_live_take=>{$pg_live_take(\"x\",()=>x);}),() => x)"
    );
    assert_eq!(
        text("function f(x) { 'use strict'; return () => x }"),
        "function f(x) { 'use strict';;$pg_live_guard&&$pg_live_guard($pg_live_take=>{$pg_live_take(\"x\",()=>x);}); return () => x }"
    );
    assert!(text("for (const i of l) { g(() => i) }").contains(
        "{;$pg_live_guard&&$pg_live_guard($pg_live_take=>{$pg_live_take(\"i\",()=>i);}); g("
    ));
    assert!(text("try {} catch (e) { g(() => e) }").contains(
        "{;$pg_live_guard&&$pg_live_guard($pg_live_take=>{$pg_live_take(\"e\",()=>e);}); g("
    ));
    assert!(
        text("function f() { return () => this }").contains("$pg_live_take(\"this\",()=>this)")
    );
    assert!(
        text("function f() { return () => arguments }")
            .contains("$pg_live_take(\"arguments\",()=>arguments)")
    );
    assert!(text("class A { f = () => this.x }").contains("#$pg_live_guard=$pg_live_guard&&$pg_live_guard($pg_live_take=>{$pg_live_take(\"this\",()=>this);});"));
    assert!(text("(function f() { return () => f.n })()").contains("$pg_live_take(\"f\",()=>f)"));
}

#[test]
fn what_runs_during_the_import_is_marked() {
    for (source, mark) in [
        (
            "function f() { let n = 0; return () => ++n }",
            "the variable 'n' of a function that ran is assigned in another",
        ),
        ("async function f() {}", "an async function was called"),
        ("const f = async () => 1", "an async function was called"),
        ("function* f() {}", "a generator was used"),
        (
            "class A { #x = 1; f() { return ++this.#x } }",
            "an object with private fields was made",
        ),
        (
            "class A { static #x = 1 }",
            "a class with private static fields was made",
        ),
        (
            "function f(a, g = () => a) {}",
            "a function in the head of another, or of a loop, was used",
        ),
        (
            "function f() { for (let i = 0, g = () => i; ;) {} }",
            "a function in the head of another, or of a loop, was used",
        ),
        (
            "function f(v) { switch (v) { case 1: let n; return () => n } }",
            "a variable of a loop without a block, or of a switch, was kept",
        ),
        (
            "function f(v) { for (const i of v) g(() => i) }",
            "a variable of a loop without a block, or of a switch, was kept",
        ),
    ] {
        assert!(
            text(source).contains(&format!(",\"{mark}\")")),
            "{source}: {}",
            text(source)
        );
    }
}

#[test]
fn columns_are_mapped_back() {
    let source = "const ä = '😀'; const f = (x) => () => x;\nfunction g() { return () => ä }";
    let guarded = guard(source).expect("is not refused");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let column = |line: &str, what: &str| {
        let at = line.find(what).expect("is there");
        u32::try_from(line[..at].encode_utf16().count()).expect("fits")
    };
    for (number, (before, after)) in lines(source).iter().zip(lines(&guarded.source)).enumerate() {
        let number = u32::try_from(number).expect("fits");
        for what in ["const ä", "const f", "() => x", "function g", "return"] {
            if !before.contains(what) {
                continue;
            }
            let found = guarded.shifts.original_column(number, column(&after, what));
            assert_eq!(found, column(before, what), "{what} of line {number}");
        }
    }
    assert_eq!(Shifts::default().original_column(3, 14), 14);
}

#[test]
fn long_chains_are_refused_and_no_stack_is_exhausted() {
    for link in ["+a", "&&a", ".b", "()", "?.b", "[0]", "`x`", "+a-a"] {
        let module = |links: usize| format!("export const f = (a) => a{}", link.repeat(links));
        assert_eq!(
            refusal(&module(100_000)),
            Refusal::Uses("statements or expressions of too many levels"),
            "{link}"
        );
        text(&module(1_000));
    }
}
