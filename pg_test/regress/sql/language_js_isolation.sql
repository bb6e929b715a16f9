-- LANGUAGE js: contexts serve many calls, and no call leaves anything behind in them.
CREATE SCHEMA js_isolation; SET search_path = js_isolation, public;
create function sh(code text) returns text language js as $$
 "use strict";
 const tries = {
  proto: () => { Object.prototype.leak = 1 },
  arr: () => { Array.prototype.push = 1 },
  glob: () => { globalThis.leak = 1 },
  math: () => { Math.leak = 1 },
  regexp: () => { /(secret)/.exec("secret"); return RegExp.$1 + RegExp.lastMatch + RegExp["$_"] },
  gen: () => { Object.getPrototypeOf(function*(){}).leak = 1 },
  genp: () => { Object.getPrototypeOf(function*(){}).prototype.leak = 1 },
  asyncgen: () => { Object.getPrototypeOf(async function*(){}).prototype.leak = 1 },
  asyncfn: () => { Object.getPrototypeOf(async()=>{}).leak = 1 },
  iter: () => { Object.getPrototypeOf([][Symbol.iterator]()).leak = 1 },
  iterhelper: () => { Object.getPrototypeOf([].values().map(x=>x)).leak = 1 },
  iterwrap: () => { Object.getPrototypeOf(Iterator.from({next(){}})).leak = 1 },
  typed: () => { Object.getPrototypeOf(Uint8Array).prototype.leak = 1 },
  seg: () => { Object.getPrototypeOf(new Intl.Segmenter().segment("")).leak = 1 },
  intl: () => { Intl.leak = 1 },
  dtf: () => { Intl.DateTimeFormat.prototype.leak = 1 },
  prep: () => { Error.prepareStackTrace = () => 1 },
  limit: () => { Error.stackTraceLimit = 0 },
  sql: () => { sql.leak = 1 },
  sqlq: () => { sql.query.leak = 1 },
  cons: () => { console.log = 1 },
  evalx: () => eval("1"),
  fn: () => new Function("return 1")(),
  genfn: () => Object.getPrototypeOf(function*(){}).constructor("yield 1")().next().value,
  thisx: () => String((function(){ return this })()),
  callee: () => (function(){ return arguments.callee })(),
  caller: () => (function f(){ return f.caller })(),
  wasm: () => typeof WebAssembly + typeof Atomics + typeof SharedArrayBuffer + typeof WeakRef + typeof FinalizationRegistry,
  date: () => { Date.prototype.leak = 1 },
  datector: () => { new Date().constructor.leak = 1 },
  promise: () => { Promise.prototype.then = 1 },
  async: () => { Promise.resolve().then(() => { globalThis.x = 1 }) },
  rnd: () => Math.random() !== Math.random(),
  e1: () => { const e = new Error("a"); e.name = "X"; e.message = "b"; return String(e) },
  o1: () => { const o = {}; o.toString = () => "mine"; o.constructor = 1; o.hasOwnProperty = 2; return String(o) + Object.keys(o) },
  c1: () => { function P(){}; P.prototype.toString = function(){ return "P!" }; P.prototype.constructor = P; return String(new P) },
  c2: () => { class E2 extends Error { constructor(m){ super(m); this.name = "E2" } } return String(new E2("q")) + (new E2("q") instanceof Error) },
  c3: () => { class A extends Array {} return String(new A(1,2,3).map(x => x+1) instanceof A) },
  globals: () => Object.getOwnPropertyNames(globalThis).sort().join(" "),
  fr: () => String(Object.isFrozen(globalThis)),
  imp: () => { return String(import("x")) },
  stampX: () => { class B { constructor(o){return o} } class S extends B { #v=1; static has(o){ return #v in o } } new S(Object.prototype); class S2 extends B { #v=1; static has(o){ return #v in o } } return String(S.has(Object.prototype)) + S2.has(Object.prototype) },
  symb: () => { Symbol.for("x").description; Symbol.leak = 1 },
  refl: () => Reflect.set(Object.prototype, "leak", 1) + "",
  defp: () => { Object.defineProperty(Array, "leak", {value: 1}) },
  setp: () => { Object.setPrototypeOf(Array.prototype, {leak: 1}) },
  getter: () => { Object.getOwnPropertyDescriptor(Object.prototype, "toString").get.leak = 1 },
  protoset: () => { Object.prototype.__proto__ = {leak:1} },
 };
 if (code === "list") return Object.keys(tries).join(",");
 try { return "returned " + tries[code]() } catch (e) { return String(e) }
$$;
\pset format unaligned
SELECT c, sh(c) FROM regexp_split_to_table(sh('list'), ',') c WHERE c NOT IN ('async', 'imp');
-- What is still to be done when the body returns belongs to the call.
SELECT sh('async');
SELECT sh('imp');
CREATE FUNCTION look() RETURNS text LANGUAGE js AS $$
  return [typeof leak, typeof {}.leak, typeof [].leak, typeof x, typeof Math.leak, String(RegExp.$1)].join();
$$;
SELECT look();
-- Objects that belong to the function itself.
CREATE FUNCTION counter() RETURNS int LANGUAGE js AS $$
  function f() {}
  class C { static n = 0 }
  const t = ((s) => s)`x`;
  f.n = (f.n ?? 0) + 1;
  C.n++;
  try { t.n = 1 } catch {}
  var v = (v ?? 0) + 1;
  return f.n + C.n + v + (t.n ?? 0);
$$;
SELECT counter(), counter(), counter();
-- What a call queued does not run in the next one, however the call ended.
CREATE FUNCTION queue_and(how text) RETURNS int LANGUAGE js AS $$
  Promise.resolve().then(() => console.log("queued before " + how));
  if (how === "throw") throw new Error("thrown");
  if (how === "sql") sql`SELECT 1/0`;
  return 1;
$$;
\set VERBOSITY terse
SELECT queue_and('return');
SELECT queue_and('throw');
SELECT look();
SELECT queue_and('sql');
SELECT look();
\set VERBOSITY default
-- Nested calls do not run what the outer one has queued.
CREATE FUNCTION inner_call() RETURNS int LANGUAGE js AS $$ console.log("inner"); return 1 $$;
CREATE FUNCTION outer_call() RETURNS int LANGUAGE js AS $$
  Promise.resolve().then(() => console.log("outer, later"));
  const r = sql`SELECT inner_call() AS r`[0].r;
  console.log("outer");
  return r;
$$;
SELECT outer_call();
-- The clock is the statement's; random numbers are not.
CREATE FUNCTION clock() RETURNS boolean LANGUAGE js AS $$
  return Date.now() === Number(sql`SELECT floor(extract(epoch FROM statement_timestamp()) * 1000)::float8 AS t`[0].t)
    && new Date().getTime() === Date.now();
$$;
SELECT clock();
SET client_min_messages = warning;
DROP SCHEMA js_isolation CASCADE;
