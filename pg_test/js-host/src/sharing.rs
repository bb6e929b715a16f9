//! Calls that share a context see nothing of each other: whatever a module keeps is refused, or cannot be changed.

use crate::support::{App, error};

/// Stands for what a caller may not see again.
const SECRET: &str = "s3cret";

/// Modules that try to keep something: a name, and the module. `f` leaves something and returns what it finds.
const KEEPERS: &[(&str, &str)] = &[
    (
        "a variable",
        "let kept; export const f = query(() => { const seen = kept; kept = 's3cret'; return seen; });",
    ),
    (
        "a counter",
        "let n = 0; export const f = query(() => n++ === 0 ? null : 's3cret');",
    ),
    (
        "a var by destructuring",
        "var kept; export const f = query(() => { const seen = kept; [kept] = ['s3cret']; return seen; });",
    ),
    (
        "a function that is replaced",
        "function kept() {} export const f = query(() => { const seen = kept(); kept = () => 's3cret'; return seen; });",
    ),
    (
        "a class that is replaced",
        "let K = class {}; export const f = query(() => { const seen = K.s; K = class { static s = 's3cret' }; return seen; });",
    ),
    (
        "a variable of an outer function",
        "const make = () => { let kept; return () => { const seen = kept; kept = 's3cret'; return seen; }; }; const g = make(); export const f = query(() => g());",
    ),
    (
        "a parameter",
        "const make = (kept) => () => { const seen = kept; kept = 's3cret'; return seen; }; const g = make(); export const f = query(() => g());",
    ),
    (
        "a variable of a loop",
        "const all = []; for (let kept = 0; kept < 1; kept++) { all.push(() => kept++ === 0 ? null : 's3cret'); } export const f = query(() => all[0]());",
    ),
    (
        "a variable of a block",
        "let g; { let kept; g = () => { const seen = kept; kept = 's3cret'; return seen; }; } export const f = query(() => g());",
    ),
    (
        "a variable of a catch",
        "let g; try { throw undefined } catch (kept) { g = () => { const seen = kept; kept = 's3cret'; return seen; }; } export const f = query(() => g());",
    ),
    (
        "a variable of a switch",
        "let g; switch (1) { case 1: let kept; g = () => { const seen = kept; kept = 's3cret'; return seen; }; } export const f = query(() => g());",
    ),
    (
        "an object",
        "const o = {}; export const f = query(() => { const seen = o.kept; o.kept = 's3cret'; return seen; });",
    ),
    (
        "an object, quietly",
        "const o = {}; export const f = query(() => { const seen = o.kept; Reflect.set(o, 'kept', 's3cret'); try { o.kept = 's3cret' } catch {} return seen; });",
    ),
    (
        "an array",
        "const o = []; export const f = query(() => { const seen = o[0]; try { o.push('s3cret') } catch {} return seen; });",
    ),
    (
        "an object deep inside",
        "const o = { a: [{ b: {} }] }; export const f = query(() => { const b = o.a[0].b; const seen = b.kept; Reflect.set(b, 'kept', 's3cret'); return seen; });",
    ),
    (
        "an object of a closure",
        "const make = () => { const o = {}; return () => { const seen = o.kept; Reflect.set(o, 'kept', 's3cret'); return seen; }; }; const g = make(); export const f = query(() => g());",
    ),
    (
        "an object of a closure's expression",
        "const make = (o) => () => { const seen = o.kept; Reflect.set(o, 'kept', 's3cret'); return seen; }; const g = make({}); export const f = query(() => g());",
    ),
    (
        "an object of a closure of a closure",
        "const make = () => { const o = {}; return () => () => o; }; const g = make()(); export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a default of a parameter",
        "const make = (o = {}) => () => o; const g = make(); export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a closure in a default of a parameter",
        "const make = (o = {}, g = () => o) => g; const g = make(); export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a closure in the head of a loop",
        "let g; for (let o = {}, h = () => o; ; ) { g = h; break; } export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a loop without a block",
        "const all = []; for (const o of [{}]) all.push(() => o); export const f = query(() => { const seen = all[0]().kept; Reflect.set(all[0](), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a caught object",
        "let g; const h = (() => { try { throw {} } catch (o) { return () => o; } })(); export const f = query(() => { const seen = h().kept; Reflect.set(h(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "this of an arrow function",
        "const g = new (class { constructor() { this.get = () => this; } })().get; export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "this of a field",
        "const g = new (class { get = () => this; })().get; export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "arguments of an arrow function",
        "const g = (function () { return () => arguments; })({}); export const f = query(() => { const seen = g()[0].kept; Reflect.set(g()[0], 'kept', 's3cret'); return seen; });",
    ),
    (
        "a function's own name",
        "const g = (function self() { return () => self; })(); export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a class by its own name",
        "const g = (class K { static get() { return K; } }).get; export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a static property",
        "class K { static kept; } export const f = query(() => { const seen = K.kept; Reflect.set(K, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a private static field",
        "class K { static #kept; static swap(v) { const seen = K.#kept; K.#kept = v; return seen; } } export const f = query(() => K.swap('s3cret'));",
    ),
    (
        "a private field",
        "class K { #kept; swap(v) { const seen = this.#kept; this.#kept = v; return seen; } } const k = new K(); export const f = query(() => k.swap('s3cret'));",
    ),
    (
        "a private object",
        "class K { #o = {}; get() { return this.#o; } } const k = new K(); export const f = query(() => { const seen = k.get().kept; Reflect.set(k.get(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a private field on a frozen object",
        "class Base { constructor(o) { return o; } } class Stamp extends Base { #kept = 's3cret'; static of(o) { return #kept in o ? o.#kept : undefined; } } const o = {}; export const f = query(() => { const seen = Stamp.of(o); if (!seen) new Stamp(o); return seen; });",
    ),
    (
        "super in an object",
        "const base = { store: {} }; const g = { __proto__: base, get() { return super.store; } }.get; export const f = query(() => { const s = g(); const seen = s.kept; Reflect.set(s, 'kept', 's3cret'); return seen; });",
    ),
    (
        "super in a class",
        "const g = (() => { class A {} A.prototype.store = {}; return class extends A { get() { return super.store; } }; })().prototype.get; export const f = query(() => { const s = g(); const seen = s.kept; Reflect.set(s, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a getter",
        "const o = { get kept() { return undefined; } }; export const f = query(() => { const seen = o.kept; Reflect.defineProperty(o, 'kept', { value: 's3cret' }); return seen; });",
    ),
    (
        "a setter's variable",
        "const make = () => { let v; return { get kept() { return v; }, set kept(n) { v = n; } }; }; const o = make(); export const f = query(() => { const seen = o.kept; o.kept = 's3cret'; return seen; });",
    ),
    (
        "a symbol",
        "const S = Symbol(); const o = {}; export const f = query(() => { const seen = o[S]; Reflect.set(o, S, 's3cret'); return seen; });",
    ),
    (
        "a function's property",
        "const g = () => {}; export const f = query(() => { const seen = g.kept; Reflect.set(g, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a handler's property",
        "export const f = query(() => { const seen = f.kept; Reflect.set(f, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a prototype",
        "class K {} export const f = query(() => { const seen = new K().kept; Reflect.set(K.prototype, 'kept', 's3cret'); return seen; });",
    ),
    (
        "the prototype of a constant",
        "const o = {}; export const f = query(() => { const seen = o.kept; Reflect.setPrototypeOf(o, { kept: 's3cret' }); return seen; });",
    ),
    (
        "a Map",
        "const m = new Map(); export const f = query(() => { const seen = m.get(1); m.set(1, 's3cret'); return seen; });",
    ),
    (
        "a Set",
        "const m = new Set(); export const f = query(() => { const seen = [...m][0]; m.add('s3cret'); return seen; });",
    ),
    (
        "a WeakMap",
        "const k = {}; const m = new WeakMap(); export const f = query(() => { const seen = m.get(k); m.set(k, 's3cret'); return seen; });",
    ),
    (
        "a WeakSet",
        "const k = {}; const m = new WeakSet(); export const f = query(() => { const seen = m.has(k) ? 's3cret' : null; m.add(k); return seen; });",
    ),
    (
        "a WeakMap keyed by a template",
        "const m = new WeakMap(); const tag = (s) => s; export const f = query(() => { const t = tag`x`; const seen = m.get(t); m.set(t, 's3cret'); return seen; });",
    ),
    (
        "the object of a template",
        "const tag = (s) => s; const g = () => tag`x`; export const f = query(() => { const seen = g().kept ?? g().raw.kept; Reflect.set(g(), 'kept', 's3cret'); Reflect.set(g().raw, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a memoized function",
        "const memo = (g) => { const cache = new Map(); return (k) => { if (!cache.has(k)) cache.set(k, g(k)); else return 's3cret'; }; }; const g = memo(() => null); export const f = query(() => g(1));",
    ),
    (
        "a Map in a closure",
        "const make = () => { const m = new Map(); return () => m; }; const g = make(); export const f = query(() => { const seen = g().get(1); g().set(1, 's3cret'); return seen; });",
    ),
    (
        "a subclass of Map",
        "class M extends Map {} const m = new M(); export const f = query(() => { const seen = m.get(1); m.set(1, 's3cret'); return seen; });",
    ),
    (
        "a Map without its prototype",
        "const m = new Map(); Object.setPrototypeOf(m, null); export const f = query(() => { const seen = Map.prototype.get.call(m, 1); Map.prototype.set.call(m, 1, 's3cret'); return seen; });",
    ),
    (
        "a Map without its prototype by __proto__",
        "const m = new Map(); m.__proto__ = {}; export const f = query(() => { const seen = Map.prototype.get.call(m, 1); Map.prototype.set.call(m, 1, 's3cret'); return seen; });",
    ),
    (
        "a Map of another constructor",
        "const m = Reflect.construct(Map, [], class {}); export const f = query(() => { const seen = Map.prototype.get.call(m, 1); Map.prototype.set.call(m, 1, 's3cret'); return seen; });",
    ),
    (
        "a Map of a bound constructor",
        "const B = Map.bind(null); B.prototype = {}; class M extends B {} const m = new M(); export const f = query(() => { const seen = Map.prototype.get.call(m, 1); Map.prototype.set.call(m, 1, 's3cret'); return seen; });",
    ),
    (
        "a Map of a proxy of the constructor",
        "const P = new Proxy(Map, { get: (t, k) => (k === 'prototype' ? {} : t[k]) }); class M extends P {} const m = new M(); export const f = query(() => { const seen = Map.prototype.get.call(m, 1); Map.prototype.set.call(m, 1, 's3cret'); return seen; });",
    ),
    (
        "a bound method of a Map",
        "const m = new Map(); const o = { get: m.get.bind(m), set: m.set.bind(m) }; export const f = query(() => { const seen = o.get(1); o.set(1, 's3cret'); return seen; });",
    ),
    (
        "a bound receiver",
        "const g = function () { return this; }.bind({}); export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a proxy",
        "const t = {}; const p = new Proxy(t, {}); export const f = query(() => { const seen = p.kept; Reflect.set(p, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a proxy's handler",
        "const p = new Proxy({}, { get(t, k, r) { return k === 'handler' ? this : undefined; } }); export const f = query(() => { const h = p.handler; const seen = h.kept; Reflect.set(h, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a proxy's traps",
        "const make = () => { let v; return new Proxy({}, { get: () => v, set: (t, k, n) => { v = n; return true; } }); }; const p = make(); export const f = query(() => { const seen = p.kept; p.kept = 's3cret'; return seen; });",
    ),
    (
        "a revocable proxy",
        "const { proxy, revoke } = Proxy.revocable({}, {}); export const f = query(() => { try { proxy.x; } catch { return 's3cret'; } revoke(); });",
    ),
    (
        "a Date",
        "const d = new Date(0); export const f = query(() => { const seen = d.getTime() === 0 ? null : 's3cret'; d.setTime(5); return seen; });",
    ),
    (
        "lastIndex",
        "const r = /x/g; export const f = query(() => { const seen = r.lastIndex === 0 ? null : 's3cret'; r.test('x'); return seen; });",
    ),
    (
        "a sticky regular expression",
        "const r = /x/y; export const f = query(() => r.test('x') ? null : 's3cret');",
    ),
    (
        "the source of a regular expression",
        "const r = /x/; export const f = query(() => { const seen = r.source === 'x' ? null : r.source; try { r.compile('s3cret'); } catch {} return seen; });",
    ),
    (
        "the last match",
        "export const f = query(() => { const seen = RegExp.lastMatch; /s3cret/.exec('s3cret'); return seen; });",
    ),
    (
        "an ArrayBuffer",
        "const b = new ArrayBuffer(8); export const f = query(() => { const v = new Uint8Array(b); const seen = v[0] ? 's3cret' : null; v[0] = 1; return seen; });",
    ),
    (
        "a typed array",
        "const v = new Uint8Array(8); export const f = query(() => { const seen = v[0] ? 's3cret' : null; v[0] = 1; return seen; });",
    ),
    (
        "a DataView",
        "const v = new DataView(new ArrayBuffer(8)); export const f = query(() => { const seen = v.getInt8(0) ? 's3cret' : null; v.setInt8(0, 1); return seen; });",
    ),
    (
        "a promise and its resolver",
        "const { promise, resolve } = Promise.withResolvers(); export const f = query(async () => { const seen = await Promise.race([promise, null]); resolve('s3cret'); return seen; });",
    ),
    (
        "a resolver in a closure",
        "let g; const p = new Promise((r) => { g = () => r('s3cret'); }); export const f = query(async () => { const seen = await Promise.race([p, null]); g(); return seen; });",
    ),
    (
        "a resolved promise's property",
        "const p = Promise.resolve(1); export const f = query(async () => { const seen = p.kept; Reflect.set(p, 'kept', 's3cret'); return seen; });",
    ),
    (
        "an object in a promise",
        "const p = Promise.resolve({}); export const f = query(async () => { const o = await p; const seen = o.kept; Reflect.set(o, 'kept', 's3cret'); return seen; });",
    ),
    (
        "an async function that waits",
        "let go; const gate = new Promise((r) => { go = r; }); const o = {}; (async () => { await gate; o.kept = 's3cret'; })(); export const f = query(async () => { const seen = o.kept; go(); await null; await null; return seen; });",
    ),
    (
        "a generator",
        "function* g() { yield null; while (true) yield 's3cret'; } const it = g(); export const f = query(() => it.next().value);",
    ),
    (
        "a generator that has begun",
        "function* g() { yield 0; yield null; while (true) yield 's3cret'; } const it = g(); it.next(); export const f = query(() => it.next().value);",
    ),
    (
        "a generator with another prototype",
        "function* g() { yield null; while (true) yield 's3cret'; } const next = g.prototype.__proto__.next; g.prototype = {}; const it = g(); export const f = query(() => next.call(it).value);",
    ),
    (
        "a generator in a closure",
        "const make = () => { const it = (function* () { yield null; while (true) yield 's3cret'; })(); return () => it.next().value; }; const g = make(); export const f = query(() => g());",
    ),
    (
        "a bound next",
        "const it = (function* () { yield null; while (true) yield 's3cret'; })(); const next = it.next.bind(it); export const f = query(() => next().value);",
    ),
    (
        "an async generator",
        "async function* g() { yield null; while (true) yield 's3cret'; } const it = g(); export const f = query(async () => (await it.next()).value);",
    ),
    (
        "an iterator of an array",
        "const it = [null, 's3cret', 's3cret'].values(); export const f = query(() => it.next().value);",
    ),
    (
        "an iterator of a string",
        "const it = 'as'[Symbol.iterator](); export const f = query(() => it.next().value === 'a' ? null : 's3cret');",
    ),
    (
        "an iterator of a Map",
        "const it = new Map([[1, null], [2, 's3cret']]).values(); export const f = query(() => it.next().value);",
    ),
    (
        "an iterator of matches",
        "const it = 'aa'.matchAll(/a/g); export const f = query(() => it.next().value.index === 0 ? null : 's3cret');",
    ),
    (
        "a helper of iterators",
        "const it = [null, 's3cret', 's3cret'].values().map((x) => x); export const f = query(() => it.next().value);",
    ),
    (
        "a wrapped iterator",
        "const it = Iterator.from([null, 's3cret', 's3cret'].values()); export const f = query(() => it.next().value);",
    ),
    (
        "segments",
        "const it = new Intl.Segmenter().segment('ab')[Symbol.iterator](); export const f = query(() => it.next().value.segment === 'a' ? null : 's3cret');",
    ),
    (
        "a format's bound function",
        "const n = new Intl.NumberFormat(); export const f = query(() => { const seen = n.format.kept; Reflect.set(n.format, 'kept', 's3cret'); return seen; });",
    ),
    (
        "an error",
        "const e = new Error('x'); export const f = query(() => { const seen = e.stack.includes('s3cret') ? 's3cret' : null; try { e.stack = 's3cret'; } catch {} return seen; });",
    ),
    (
        "a WeakRef",
        "const w = new WeakRef({}); export const f = query(() => { const seen = w.deref().kept; w.deref().kept = 's3cret'; return seen; });",
    ),
    (
        "a URL",
        "const u = new URL('http://x/'); export const f = query(() => { const seen = u.pathname === '/' ? null : 's3cret'; u.pathname = '/s3cret'; return seen; });",
    ),
    (
        "a URLSearchParams",
        "const u = new URLSearchParams(); export const f = query(() => { const seen = u.get('a'); u.set('a', 's3cret'); return seen; });",
    ),
    (
        "a Headers",
        "const h = new Headers(); export const f = query(() => { const seen = h.get('a'); h.set('a', 's3cret'); return seen; });",
    ),
    (
        "a TextDecoder",
        "const d = new TextDecoder(); export const f = query(() => { const seen = d.decode(new Uint8Array([0xa4]), { stream: true }); d.decode(new Uint8Array([0xc3]), { stream: true }); return seen === 'ä' ? 's3cret' : null; });",
    ),
    (
        "an EventTarget",
        "const t = new EventTarget(); export const f = query(() => { let seen = null; t.dispatchEvent(Object.assign(new Event('x'), { see: (v) => { seen = v; } })); t.addEventListener('x', (e) => e.see('s3cret')); return seen; });",
    ),
    (
        "an AbortController",
        "const c = new AbortController(); export const f = query(() => { const seen = c.signal.aborted ? 's3cret' : null; c.abort(); return seen; });",
    ),
    (
        "a stream",
        "const s = new ReadableStream({ start(c) { c.enqueue(null); c.enqueue('s3cret'); c.enqueue('s3cret'); } }); export const f = query(async () => { const r = s.getReader(); const { value } = await r.read(); r.releaseLock(); return value; });",
    ),
    (
        "an async local storage",
        "const s = new AsyncLocalStorage(); export const f = query(() => { const seen = s.getStore(); s.enterWith('s3cret'); return seen; });",
    ),
    (
        "an async local storage's property",
        "const s = new AsyncLocalStorage(); export const f = query(() => { const seen = s.kept; Reflect.set(s, 'kept', 's3cret'); return seen; });",
    ),
    (
        "listeners of performance",
        "export const f = query(() => { let seen = null; performance.dispatchEvent(Object.assign(new Event('x'), { see: (v) => { seen = v; } })); performance.addEventListener('x', (e) => e.see('s3cret')); return seen; });",
    ),
    (
        "a listener that counts",
        "performance.addEventListener('x', function h(e) { e.see(h.kept); h.kept = 's3cret'; }); export const f = query(() => { let seen = null; performance.dispatchEvent(Object.assign(new Event('x'), { see: (v) => { seen = v; } })); return seen; });",
    ),
    (
        "marks of performance",
        "export const f = query(() => { const seen = performance.getEntries().length === 0 ? null : 's3cret'; performance.mark('m'); return seen; });",
    ),
    (
        "a timer of the console",
        "export const f = query(() => { console.time('s3cret'); return null; });",
    ),
    (
        "the global object",
        "export const f = query(() => { const seen = globalThis.kept; Reflect.set(globalThis, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a global of the module",
        "globalThis.store = {}; export const f = query(() => { const seen = store.kept; Reflect.set(store, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a built-in prototype",
        "export const f = query(() => { const seen = [].kept; Reflect.set(Array.prototype, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a patched prototype",
        "const store = {}; Array.prototype.store = () => store; export const f = query(() => { const s = [].store(); const seen = s.kept; Reflect.set(s, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a patched Map",
        "const seenBy = []; const set = Map.prototype.set; Map.prototype.set = function (...a) { seenBy.push(a); return set.apply(this, a); }; const m = new Map(); export const f = query(() => { const seen = m.get(1); m.set(1, 's3cret'); return seen; });",
    ),
    (
        "the environment",
        "export const f = query(() => { const seen = process.env.kept ?? Reflect.getPrototypeOf(process.env)?.kept; Reflect.set(process.env, 'kept', 's3cret'); Reflect.setPrototypeOf(process.env, { kept: 's3cret' }); return seen; });",
    ),
    (
        "import.meta",
        "export const f = query(() => { const seen = import.meta.kept; import.meta.kept = 's3cret'; return seen; });",
    ),
    (
        "prepareStackTrace",
        "export const f = query(() => { const seen = Error.prepareStackTrace?.kept; try { Error.prepareStackTrace = Object.assign(() => '', { kept: 's3cret' }); } catch {} return seen; });",
    ),
    (
        "the limit of stack traces",
        "export const f = query(() => { const seen = Error.stackTraceLimit === 77 ? 's3cret' : null; try { Error.stackTraceLimit = 77; } catch {} return seen; });",
    ),
    (
        "await at the top",
        "const o = await { kept: undefined }; export const f = query(() => { const seen = o.kept; Reflect.set(o, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a name that is hidden by a parameter's",
        "const make = ($pg_live_take) => () => $pg_live_take; const g = make({}); export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a variable called f",
        "const make = (f) => () => f; const g = make({}); export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a directive without a semicolon",
        "function make(o) {\n 'use strict'\n return () => o }\n const g = make({}); export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a static block",
        "let g; class K { static { const o = {}; g = () => o; } } export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a static field",
        "class K { static get = () => this.o; static o = {}; } const g = K.get; export const f = query(() => { const seen = g().kept; Reflect.set(g(), 'kept', 's3cret'); return seen; });",
    ),
    (
        "a namespace",
        "import * as other from './o.js'; export const f = query(() => { const seen = other.o.kept; Reflect.set(other.o, 'kept', 's3cret'); return seen; });",
    ),
    (
        "a variable of another module",
        "import { swap } from './o.js'; export const f = query(() => swap('s3cret'));",
    ),
    (
        "an object of another module's closure",
        "import { get } from './o.js'; export const f = query(() => { const seen = get().kept; Reflect.set(get(), 'kept', 's3cret'); return seen; });",
    ),
];

/// Beside the keepers that import something.
const OTHER: &str = "export const o = {}; let v; export const swap = (n) => { const seen = v; v = n; return seen; };";
const CLOSURES: &str = "const make = () => { const o = {}; return () => o; }; export const get = make(); export const o = {};";

#[test]
fn nothing_that_a_module_keeps_is_seen_by_another_call() {
    let mut report = String::new();
    for (name, source) in KEEPERS {
        let other = if source.contains("{ get }") || source.contains("* as") {
            CLOSURES
        } else {
            OTHER
        };
        let app = App::new(source).with("o.js", other, None);
        let proof = app.clone().prove("m.js");
        let outcomes = app.call_shared("m.js", "f");
        for outcome in &outcomes {
            let seen = match &outcome.result {
                Ok(text) => text.contains(SECRET) && !text.contains("can not"),
                Err(_) => false,
            };
            assert!(!seen, "{name}: seen again ({proof:?})");
            let warned = outcome
                .log_lines
                .iter()
                .any(|line| line.contains("already exists"));
            assert!(!warned, "{name}: {:?}", outcome.log_lines);
        }
        let shared = outcomes.iter().filter(|outcome| outcome.guarded).count();
        assert_eq!(shared > 0, proof.is_ok(), "{name}: {proof:?}");
        let last = match &outcomes[2].result {
            Ok(_) => "unchanged".to_owned(),
            Err(error) => error.message.lines().next().unwrap_or_default().to_owned(),
        };
        let line = match proof {
            Ok(()) => format!("{name}: frozen; a call: {last}\n"),
            Err(reason) => format!("{name}: refused, {reason}\n"),
        };
        report.push_str(&line);
    }
    crate::support::assert_golden("sharing", &report);
}

/// Modules as apps have them.
const ORDINARY: &[(&str, &str)] = &[
    (
        "constants",
        "const LIMIT = 3; const names = ['a', 'b']; const options = { deep: { list: [1] } }; const re = /^x$/; export const f = query(() => [LIMIT, names, options, re.test('x')]);",
    ),
    (
        "helpers",
        "function add(a, b) { return a + b } const twice = (x) => add(x, x); export const f = query(() => twice(2));",
    ),
    (
        "a class",
        "class Point { constructor(x) { this.x = x; } get double() { return 2 * this.x; } toString() { return `${this.x}`; } } class Named extends Point { name = 'n'; } const P = Point; export const f = query(() => [new P(2).double, `${new Point(1)}`]);",
    ),
    (
        "state within a call",
        "class Stack { #items = []; push(x) { this.#items.push(x); return this; } get size() { return this.#items.length; } } export const f = query(() => { let n = 0; [1, 2].forEach((x) => { n += x; }); const seen = new Map([[1, n]]); return [n, seen.size, new Stack().push(1).size]; });",
    ),
    (
        "wrappers of handlers",
        "const wrap = (options) => (handler) => { const { name } = options; return query((...args) => [name, handler(...args)]); }; export const f = wrap({ name: 'w' })(() => 1);",
    ),
    (
        "curried wrappers",
        "const compose = (...fs) => (x) => fs.reduce((v, g) => g(v), x); const g = compose((x) => x + 1, (x) => x * 2); export const f = query(() => g(1));",
    ),
    (
        "an error class",
        "class NotFound extends Error { constructor(id) { super(`no ${id}`); this.name = 'NotFound'; this.id = id; } } export const f = query(() => { try { throw new NotFound(1); } catch (e) { return [e.name, e.message, e.id]; } });",
    ),
    (
        "an async local storage",
        "const s = new AsyncLocalStorage(); export const f = query(() => s.run(1, async () => { await null; return s.getStore(); }));",
    ),
    (
        "a text encoder",
        "const e = new TextEncoder(); export const f = query(() => e.encode('x').length);",
    ),
    (
        "a proxy by path",
        "const api = (path = []) => new Proxy({}, { get: (_, k) => (k === 'path' ? path : api([...path, k])) }); const a = api(); export const f = query(() => a.b.c.path);",
    ),
    (
        "generators within a call",
        "function* count(n) { for (let i = 0; i < n; i++) yield i; } export const f = query(() => [...count(3)]);",
    ),
    (
        "a table of functions",
        "const table = Object.fromEntries(['a', 'b'].map((k) => [k, (x) => k + x])); export const f = query(() => table.b(1));",
    ),
    (
        "an enum",
        "var Kind; ((Kind) => { Kind[Kind['A'] = 0] = 'A'; })(Kind || (Kind = {})); export const f = query(() => [Kind.A, Kind[0]]);",
    ),
];

#[test]
fn ordinary_modules_share_a_context_and_give_the_same() {
    for (name, source) in ORDINARY {
        let app = App::new(source);
        let proof = app.clone().prove("m.js");
        let expected = app.clone().call().result;
        let outcomes = app.call_shared("m.js", "f");
        for outcome in &outcomes {
            assert_eq!(outcome.result, expected, "{name}");
        }
        assert_eq!(proof, Ok(()), "{name}");
        assert!(!outcomes[0].guarded && outcomes[2].guarded, "{name}");
    }
}

/// A bundle of esbuild with the real `convex/server` in it.
fn bundle() -> App {
    let mut app = App::default();
    let root = format!("{}/stacks/bundle", env!("CARGO_MANIFEST_DIR"));
    for folder in ["", "_deps/"] {
        for entry in std::fs::read_dir(format!("{root}/{folder}")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Some(stem) = name.strip_suffix(".js") {
                let path = format!("{folder}{stem}.js");
                let source = std::fs::read_to_string(format!("{root}/{path}")).unwrap();
                let map = std::fs::read_to_string(format!("{root}/{path}.map")).ok();
                app = app.with(&path, &source, map.as_deref());
            }
        }
    }
    app
}

#[test]
fn the_real_server_library_shares_a_context_and_stacks_stay_as_they_are() {
    assert_eq!(bundle().prove("other.js"), Ok(()));
    assert_eq!(bundle().prove("stacks.js"), Ok(()));
    let fresh = bundle().call_export("stacks.js", "anonymous").result;
    let shared = bundle().call_shared("stacks.js", "anonymous");
    assert!(shared[2].guarded);
    assert_eq!(shared[2].result, fresh);
}

#[test]
fn what_a_module_logs_while_it_is_imported_is_told_by_every_call() {
    let app = App::new("console.log('imported'); export const f = query(() => 1);");
    assert!(app.clone().prove("m.js").is_err());
    for outcome in app.call_shared("m.js", "f") {
        assert_eq!(outcome.log_lines, ["[LOG] 'imported'"]);
    }
}

#[test]
fn the_hook_is_no_name_for_functions() {
    assert!(error("return $pg_live_guard").contains("ReferenceError"));
}
