//! The global object: what is on it, and how it behaves.

use serde_json::json;

use crate::support::{App, error, eval};

/// The interfaces of the web and of the runtime, beyond ECMAScript.
const OURS: &str = "AbortController AbortSignal AsyncLocalStorage AsyncResource Blob Convex Crypto CryptoKey \
    DOMException Event EventTarget File FormData Headers Performance PerformanceEntry PerformanceMark \
    PerformanceMeasure ReadableStream ReadableStreamBYOBReader ReadableStreamDefaultReader Request Response \
    SubtleCrypto TextDecoder TextDecoderStream TextEncoder TextEncoderStream TransformStream URL URLSearchParams \
    WebAssembly WritableStream WritableStreamDefaultWriter atob btoa clearInterval clearTimeout console crypto \
    fetch performance process self setInterval setTimeout structuredClone";

/// What ECMAScript itself has; without shared memory, which has no use here.
const ECMASCRIPT: &str = "AggregateError Array ArrayBuffer AsyncDisposableStack BigInt BigInt64Array BigUint64Array \
    Boolean DataView Date DisposableStack Error EvalError FinalizationRegistry Float16Array Float32Array Float64Array \
    Function Infinity Int16Array Int32Array Int8Array Intl Iterator JSON Map Math NaN Number Object Promise Proxy \
    RangeError ReferenceError Reflect RegExp Set String SuppressedError Symbol SyntaxError TypeError URIError \
    Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet decodeURI decodeURIComponent \
    encodeURI encodeURIComponent escape eval globalThis isFinite isNaN parseFloat parseInt undefined unescape";

#[test]
fn exactly_the_documented_globals() {
    let mut expected: Vec<&str> = OURS
        .split_whitespace()
        .chain(ECMASCRIPT.split_whitespace())
        .collect();
    expected.sort_unstable();
    let actual = eval("Object.getOwnPropertyNames(globalThis).sort()");
    assert_eq!(actual, json!(expected));
    assert_eq!(eval("Object.keys(globalThis)"), json!([]));
    // Each can be read.
    let unreadable = eval(
        "Object.getOwnPropertyNames(globalThis).filter((name) => globalThis[name] === undefined)",
    );
    assert_eq!(unreadable, json!(["undefined"]));
}

#[test]
fn a_frozen_global_object_has_them_all() {
    let source = "Object.freeze(globalThis);
        [new URL('http://x/').href, new TextEncoder().encode('x').length, typeof crypto.subtle.digest,
         new Headers([['a', 'b']]).get('a'), await new Blob(['x']).text(), typeof new ReadableStream()]";
    let (freeze, rest) = source.split_once(';').unwrap();
    let body = format!("({freeze}, {})", rest.trim());
    assert_eq!(
        eval(&body),
        json!(["http://x/", 1, "function", "b", "x", "object"])
    );
}

#[test]
fn what_belongs_to_actions_ends_the_function() {
    for (code, what) in [
        ("fetch('http://x')", "fetch()"),
        ("setTimeout(() => {}, 1)", "setTimeout()"),
        ("setInterval(() => {}, 1)", "setInterval()"),
        ("AbortSignal.timeout(1)", "AbortSignal.timeout()"),
    ] {
        let expected = format!(
            "Uncaught Error: Can't use {what} in queries and mutations. Please consider using an action."
        );
        assert_eq!(error(&format!("{code};")), expected);
        // Nothing can be done about it.
        let caught = format!("try {{ await {code}; }} catch {{}} finally {{ return 'went on'; }}");
        assert_eq!(error(&caught), expected);
    }
    // The next call is not touched.
    assert_eq!(eval("1"), json!(1));
}

#[test]
fn it_is_not_there_at_import_either() {
    let source =
        "let caught; try { setTimeout(() => {}, 1); } catch (error) { caught = error.message; }
        export const f = query(() => caught);";
    let result = App::new(source).call().result.unwrap();
    assert_eq!(result, "\"Can't use setTimeout() at import time.\"");
}

#[test]
fn code_is_not_made_from_strings() {
    assert!(error("eval('1');").starts_with("Uncaught EvalError: "));
    assert!(error("new Function('return 1');").starts_with("Uncaught EvalError: "));
    assert!(error("(async () => {}).constructor('1');").starts_with("Uncaught EvalError: "));
}

#[test]
fn dynamic_import_is_refused() {
    let expected =
        "Uncaught TypeError: Can't use dynamic import() in queries and mutations: NoDynamicImport";
    let message = error("await import('./x.js');");
    assert!(
        message.contains("dynamic import() in queries and mutations"),
        "{message} {expected}"
    );
}

#[test]
fn only_the_environment_of_the_process() {
    let expected = json!([["env"], "yes", null, true, false]);
    let body = "[Object.keys(process), process.env.SET, process.env.UNSET, 'SET' in process.env, 'UNSET' in process.env]";
    assert_eq!(eval(body), expected);
}

#[test]
fn weak_references_are_strong() {
    let body = "[new WeakRef({ a: 1 }).deref().a, new FinalizationRegistry(() => {}).register({}, 1) ?? null]";
    assert_eq!(eval(body), json!([1, null]));
}

#[test]
fn structured_clone() {
    let body = "(() => {
        const from = { d: new Date(5), m: new Map([[1, { x: 2n }]]), s: new Set([1]), u: new Uint8Array([1, 2]) };
        const to = structuredClone(from);
        let refused;
        try { structuredClone(() => {}); } catch (error) { refused = [error instanceof DOMException, error.name, error.code]; }
        let transfer;
        try { structuredClone(from, { transfer: [from.u.buffer] }); } catch (error) { transfer = error.message; }
        return [to !== from, to.d.getTime(), `${to.m.get(1).x}`, to.s.has(1), to.u[1], refused, transfer.slice(0, 47)];
    })()";
    let expected = json!([
        true,
        5,
        "2",
        true,
        2,
        [true, "DataCloneError", 25],
        "Not implemented: transfer for structuredClone. "
    ]);
    assert_eq!(eval(body), expected);
}

#[test]
fn events_and_abort_signals() {
    let body = "(() => {
        const seen = [];
        const target = new EventTarget();
        const handler = { handleEvent: (event) => seen.push(`object ${event.type} ${event.target === target}`) };
        target.addEventListener('x', () => seen.push('once'), { once: true });
        target.addEventListener('x', handler);
        target.addEventListener('x', handler);
        target.addEventListener('x', (event) => { event.preventDefault(); event.stopImmediatePropagation(); });
        target.addEventListener('x', () => seen.push('never'));
        const first = target.dispatchEvent(new Event('x', { cancelable: true }));
        target.dispatchEvent(new Event('x'));
        const controller = new AbortController();
        const any = AbortSignal.any([AbortSignal.any([controller.signal])]);
        any.onabort = (event) => seen.push(event.type);
        controller.abort();
        let thrown;
        try { any.throwIfAborted(); } catch (error) { thrown = `${error.name} ${error.code}`; }
        return [seen, first, any.aborted, thrown, AbortSignal.abort(7).reason];
    })()";
    let expected = json!([
        ["once", "object x true", "object x true", "abort"],
        false,
        true,
        "AbortError 20",
        7
    ]);
    assert_eq!(eval(body), expected);
}

#[test]
fn async_storage_follows_a_call() {
    let body = "(async () => {
        const storage = new AsyncLocalStorage();
        const later = async () => { await null; await Convex.asyncSyscall('x', '{}'); return storage.getStore(); };
        const both = await Promise.all([storage.run(1, later), storage.run(2, later)]);
        const bound = storage.run(3, () => AsyncResource.bind(() => storage.getStore()));
        return [...both, bound(), storage.getStore() ?? null];
    })()";
    assert_eq!(eval(body), json!([1, 2, 3, null]));
}

#[test]
fn text_and_base64() {
    let body = "(() => {
        const legacy = new TextDecoder('shift_jis');
        const parts = legacy.decode(new Uint8Array([0x83]), { stream: true }) + legacy.decode(new Uint8Array([0x65, 0x83, 0x58]), { stream: true }) + legacy.decode();
        const utf8 = new TextDecoder();
        const split = utf8.decode(new Uint8Array([0xef, 0xbb, 0xbf, 0xe2]), { stream: true }) + utf8.decode(new Uint8Array([0x82, 0xac]));
        let fatal;
        try { new TextDecoder('utf-16be', { fatal: true }).decode(new Uint8Array([0xd8, 0])); } catch (error) { fatal = error.name; }
        let unknown;
        try { new TextDecoder('x'); } catch (error) { unknown = error.name; }
        return [parts, split, fatal, unknown, new TextDecoder('latin1').encoding,
            new TextDecoder('utf-16').decode(new Uint8Array([0xff, 0xfe, 0x61, 0])), atob('aGk='), btoa('hi'),
            new TextEncoder().encodeInto('aé€', new Uint8Array(4))];
    })()";
    let expected = json!(["テス", "€", "TypeError", "RangeError", "windows-1252", "a", "hi", "aGk=", { "read": 2, "written": 3 }]);
    assert_eq!(eval(body), expected);
}

#[test]
fn streams() {
    let body = "(async () => {
        const read = async (stream) => { const all = []; for await (const chunk of stream) all.push(chunk); return all; };
        const numbers = new ReadableStream({ start(c) { c.enqueue(1); c.enqueue(2); c.close(); } });
        const doubled = numbers.pipeThrough(new TransformStream({ transform: (n, c) => c.enqueue(n * 2) }));
        const text = new Blob(['a€', 'b']).stream().pipeThrough(new TextDecoderStream());
        const encoded = new ReadableStream({ start(c) { c.enqueue('\\ud83d'); c.enqueue('\\ude00'); c.close(); } })
            .pipeThrough(new TextEncoderStream());
        const written = [];
        const writer = new WritableStream({ write: (chunk) => void written.push(chunk) }).getWriter();
        await writer.write('w');
        await writer.close();
        const byob = new Blob(['xyz']).stream().getReader({ mode: 'byob' });
        const { value } = await byob.read(new Uint8Array(2));
        return [await read(doubled), (await read(text)).join(''), (await read(encoded)).map((b) => b.toHex()).join(''), written, [...value]];
    })()";
    let expected = json!([[2, 4], "a€b", "f09f9880", ["w"], [120, 121]]);
    assert_eq!(eval(body), expected);
}

#[test]
fn blobs_and_forms() {
    let body = "(async () => {
        const blob = new Blob(['ab', new Uint8Array([99]), new Blob(['d'])], { type: 'Text/Plain' });
        const file = new File(['x'], 'a.txt', { lastModified: 5 });
        const form = new FormData();
        form.append('k', 'v1'); form.append('k', 'v\\n2'); form.set('f', file);
        const response = new Response(form);
        const type = response.headers.get('content-type').split(';')[0];
        const back = await response.formData();
        return [blob.size, blob.type, await blob.slice(1, -1).text(), file.name, file.lastModified, type,
            back.getAll('k'), back.get('f').name, await back.get('f').text(), file instanceof Blob];
    })()";
    let expected = json!([
        4,
        "text/plain",
        "bc",
        "a.txt",
        5,
        "multipart/form-data",
        ["v1", "v\r\n2"],
        "a.txt",
        "x",
        true
    ]);
    assert_eq!(eval(body), expected);
}

#[test]
fn headers_requests_responses() {
    let body = "(async () => {
        const headers = new Headers({ b: '2', A: 1 });
        headers.append('a', ' x ');
        headers.append('set-cookie', 'c=1'); headers.append('Set-Cookie', 'c=2');
        const request = new Request('http://h/p?q', { method: 'post', headers, body: JSON.stringify({ x: 1 }) });
        const clone = request.clone();
        const tries = [];
        for (const attempt of [() => request.mode, () => request.cache, () => new Request('/relative'), () => new Headers([['a']]), () => headers.set('a b', '')]) {
            try { attempt(); } catch (error) { tries.push(error.message.split('.')[0].split(':').slice(0, 2).join(':')); }
        }
        const json = Response.json({ y: 2 }, { status: 201 });
        const used = [json.status, json.ok, (await json.json()).y, json.bodyUsed];
        const streamed = new Response(new Blob(['s']).stream());
        const copy = streamed.clone();
        return [[...headers], headers.getSetCookie(), request.method, request.url, (await request.json()).x, request.bodyUsed,
            await clone.text(), tries, used, await streamed.text(), await copy.text(), Response.redirect('http://h/').status];
    })()";
    let expected = json!([
        [
            ["a", "1, x"],
            ["b", "2"],
            ["set-cookie", "c=1"],
            ["set-cookie", "c=2"]
        ],
        ["c=1", "c=2"],
        "POST",
        "http://h/p?q",
        1,
        true,
        "{\"x\":1}",
        [
            "Not implemented: mode for Request",
            "Not implemented: cache for Request",
            "Invalid URL: \"/relative\"",
            "Each header must have a name and a value",
            "Invalid header name: \"a b\""
        ],
        [201, true, 2, true],
        "s",
        "s",
        302
    ]);
    assert_eq!(eval(body), expected);
}

#[test]
fn performance_stands_still() {
    let body = "(() => {
        const before = performance.now();
        performance.mark('a', { detail: 1 });
        performance.measure('m', 'a');
        return [before === performance.now(), performance.timeOrigin, performance.getEntries().map((entry) => entry.toJSON().entryType)];
    })()";
    assert_eq!(
        eval(body),
        json!([true, crate::support::NOW as i64, ["mark", "measure"]])
    );
}

#[test]
fn web_assembly() {
    // (module (func (export "f") (param i32) (result i32) local.get 0 i32.const 1 i32.add))
    let body = "(() => {
        const bytes = Uint8Array.fromHex('0061736d0100000001060160017f017f030201000705010166000' + '00a09010700200041016a0b');
        return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f(41);
    })()";
    assert_eq!(eval(body), json!(42));
}
