//! What the console writes.

use crate::support::App;

fn lines(body: &str) -> Vec<String> {
    App::new(&format!("export const f = query(() => {{ {body} }});"))
        .call()
        .log_lines
}

#[test]
fn levels() {
    let logged = lines(
        "console.debug(1); console.error(2); console.info(3); console.log(4); console.warn(5);",
    );
    let expected = ["[DEBUG] 1", "[ERROR] 2", "[INFO] 3", "[LOG] 4", "[WARN] 5"];
    assert_eq!(logged, expected);
}

#[test]
fn arguments_are_formatted_one_by_one() {
    let logged =
        lines("console.log('hello', 'it\\'s', 7, -0, 2n, true, null, undefined, Symbol('s'));");
    let expected = r"[LOG] 'hello' 'it\'s' 7 -0 2n true null undefined Symbol(s)";
    assert_eq!(logged, [expected]);
    assert_eq!(lines("console.log();"), ["[LOG] "]);
}

#[test]
fn objects() {
    let logged = lines(
        "class B { x = 1; }
         console.log({});
         console.log({ a: 1, 'b c': [1, 'x'] });
         console.log([1, 2, [3]]);
         console.log([{ a: 1 }]);
         console.log(new B());
         console.log(new Map([[1, 'a']]), new Set([1]));
         console.log(new Date(0), /x/g, new Error('no'));
         console.log(() => {}, function g() {}, B);
         console.log({ a: { b: { c: { d: { e: { f: 1 } } } } } });
         const c = {}; c.self = c; console.log(c);
         console.log({ inspect: () => 'mine' });",
    );
    let expected = [
        "[LOG] {}",
        "[LOG] {\n  a: 1,\n  'b c': [ 1, 'x' ]\n}",
        "[LOG] [ 1, 2, [ 3 ] ]",
        "[LOG] [\n  {\n    a: 1\n  }\n]",
        "[LOG] B {\n  x: 1\n}",
        "[LOG] Map (1) {\n  1 => 'a'\n} Set (1) {\n  1\n}",
        "[LOG] Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time) /x/g [Error: no]",
        "[LOG] [Function (anonymous)] [Function: g] [Function: B]",
        "[LOG] {\n  a: {\n    b: {\n      c: {\n        d: {\n          e: [Object]\n        }\n      }\n    }\n  }\n}",
        "[LOG] {\n  self: [Circular]\n}",
        "[LOG] mine",
    ];
    for (line, expected) in logged.iter().zip(expected) {
        assert_eq!(line, expected);
    }
    assert_eq!(logged.len(), expected.len());
}

#[test]
fn bounds() {
    let logged =
        lines("console.log('x'.repeat(40000)); for (let i = 0; i < 300; i++) console.log(i);");
    assert_eq!(logged.len(), 256);
    assert_eq!(logged[0].len(), 32_768);
    assert!(logged[0].ends_with("x (truncated due to length)"));
    let last = "[ERROR] 'Log overflow (maximum 256). Remaining log lines omitted.'";
    assert_eq!(logged[255], last);
}

#[test]
fn timers_show_that_the_clock_stands() {
    let logged = lines(
        "console.time('a'); console.time('a'); console.timeLog('a', 1); console.timeEnd('a'); console.timeEnd('a');",
    );
    let expected = [
        r"[WARN] 'Timer \'a\' already exists'",
        "[INFO] 'a: 0ms' 1",
        "[INFO] 'a: 0ms'",
        r"[WARN] 'Timer \'a\' does not exist'",
    ];
    assert_eq!(logged, expected);
}

#[test]
fn the_rest_of_the_console_is_not_there() {
    let names = "[...Object.getOwnPropertyNames(console)].sort().join(' ')";
    let expected = "debug error info log time timeEnd timeLog trace warn";
    assert_eq!(crate::support::eval(names), expected);
}
