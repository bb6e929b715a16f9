// Every function that goes too far is ended with a reason, its session goes on, and nobody else notices.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { call, connect, createDatabase } from "./lib.mjs";

const DATABASE = "hostile";
const SESSIONS = 8;
const TIMES = 3;

const TIMED_OUT = { code: "57014", message: /timed out \(maximum duration/ };
const OUT_OF_MEMORY = { code: "53200", message: /out of memory/ };
const stopped = { code: /^(57014|53200)$/, message: /timed out|out of memory/ };
const thrown = (message) => ({ code: "LV007", message });
const TOO_DEEP = thrown(/Maximum call stack size exceeded/);
const NO_CODE_FROM_STRINGS = thrown(/Code generation from strings disallowed/);

/** How each of the functions ends. */
const ENDINGS = {
  loop: TIMED_OUT,
  promiseChain: stopped,
  awaitLoop: stopped,
  syscallLoop: stopped,
  syncSyscallLoop: stopped,
  regex: TIMED_OUT,
  finallyLoop: TIMED_OUT,
  catchAndWrite: TIMED_OUT,
  sortLoop: TIMED_OUT,
  replaceLoop: TIMED_OUT,
  getterLoop: TIMED_OUT,
  thenableLoop: TIMED_OUT,
  iteratorLoop: stopped,
  stackLoop: TIMED_OUT,
  throwStackLoop: TIMED_OUT,
  toStringLoop: TIMED_OUT,
  logLoop: TIMED_OUT,
  bigintPower: { code: /^(57014|53200|LV007)$/, message: /timed out|out of memory|BigInt/ },
  heap: OUT_OF_MEMORY,
  map: { code: /^(57014|53200|LV007)$/, message: /timed out|out of memory|Map maximum size/ },
  closures: OUT_OF_MEMORY,
  buffers: { code: /^(53200|LV007)$/, message: /out of memory|Array buffer allocation failed/ },
  oneBuffer: OUT_OF_MEMORY,
  growingBuffer: OUT_OF_MEMORY,
  wasmMemory: thrown(/RangeError/),
  wasmMemories: { code: /^(57014|53200|LV007)$/, message: /timed out|out of memory|could not allocate memory/i },
  promises: stopped,
  logs: stopped,
  giantString: thrown(/Invalid string length/),
  doublingString: { code: /^(53200|LV007)$/, message: /Invalid string length|out of memory/ },
  joinedString: { code: /^(53200|LV007)$/, message: /Invalid string length|out of memory/ },
  recursion: TOO_DEEP,
  mutualRecursion: TOO_DEEP,
  getterRecursion: TOO_DEEP,
  deepJson: thrown(/nested too deeply/),
  deepParse: thrown(/SyntaxError|Maximum call stack/),
  cycle: thrown(/circular/),
  proxyChain: TOO_DEEP,
  never: thrown(/never resolve/),
  unhandled: thrown(/nobody looks/),
  unhandledLater: thrown(/nobody looks/),
  throwingGetter: thrown(/from the trap/),
  throwingProxy: thrown(/from the trap/),
  revokedProxy: thrown(/revoked/),
  throwingToJson: thrown(/from the trap/),
  throwProxy: thrown(/./),
  throwGetters: thrown(/./),
  throwSymbol: thrown(/Symbol\(thrown\)/),
  throwNull: thrown(/null/),
  throwHuge: { code: /^(53200|LV007)$/, message: /out of memory|xxx/ },
  throwLong: thrown(/xxx/),
  bigResult: thrown(/too large/),
  notText: thrown(/BigInt/),
  atomicsWait: thrown(/is not defined/),
  atomicsWaitOfWasm: thrown(/./),
  evaluate: NO_CODE_FROM_STRINGS,
  newFunction: NO_CODE_FROM_STRINGS,
  asyncFunction: NO_CODE_FROM_STRINGS,
  generatorFunction: NO_CODE_FROM_STRINGS,
  hiddenFunction: NO_CODE_FROM_STRINGS,
  dynamicImport: thrown(/NoDynamicImport: /),
  unknownSyscall: thrown(/Unknown async operation/),
  syscallOfNothing: thrown(/syscall takes/),
  syscallOfObjects: thrown(/syscall takes/),
  brokenGlobals: { code: /^(LV007|57014)$/, message: /./ },
  brokenError: thrown(/./),
};

/** @type {import("pg").Client} */ let control;
let startedAt;
let workload;

before(async () => {
  control = await createDatabase(DATABASE, ["hostile.js", "register.js"]);
  await control.query(`
    ALTER DATABASE ${DATABASE} SET pg_live.user_time_ms = 150;
    ALTER DATABASE ${DATABASE} SET pg_live.heap_size_mb = 32;
    CREATE FUNCTION nested() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
      IF NEW.text LIKE 'nested %' THEN
        PERFORM live.query('hostile:query', json_build_object('how', substr(NEW.text, 8)));
      ELSIF NEW.text LIKE 'mutation %' THEN
        PERFORM live.mutation('hostile:mutation', json_build_object('how', substr(NEW.text, 10)));
      ELSIF NEW.text = 'deeper' THEN
        PERFORM live.mutation('hostile:write', '{"text": "deeper"}');
      ELSIF NEW.text = 'raise' THEN
        RAISE EXCEPTION 'raised by SQL' USING ERRCODE = 'P0001';
      ELSIF NEW.text = 'terminate' THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
        PERFORM live.query('hostile:query', '{"how": "loop"}');
      END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER nested BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION nested()`);
  startedAt = await postmasterStart();
  workload = startWorkload();
});

after(async () => {
  await workload?.stop();
  await control?.end();
});

async function postmasterStart() {
  const { rows } = await control.query("SELECT pg_postmaster_start_time()::text AS at");
  return rows[0].at;
}

/** A client that works all the while and must never see an error or a wrong result. */
function startWorkload() {
  let stopping = false;
  let calls = 0;
  const done = (async () => {
    const client = await connect(DATABASE);
    // It waits for its turn of the processors, so it gets more time than the others.
    await client.query("SET pg_live.user_time_ms = 60000");
    for (let n = 0; !stopping; n += 1) {
      const seen = await call(client, "query", "hostile:next", { n });
      assert.deepEqual(seen, [null, null, n + 1], "no call sees what another one left behind");
      await call(client, "mutation", "hostile:write", { text: "workload" });
      calls += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const { rows } = await client.query("SELECT count(*)::int FROM notes WHERE text = 'workload'");
    assert.equal(rows[0].count, calls);
    await client.end();
  })();
  return {
    async stop() {
      stopping = true;
      await done;
    },
  };
}

/** The server has not been started again, and what the functions wrote has gone with them. */
async function unharmed() {
  assert.equal(await postmasterStart(), startedAt, "the server runs on");
  const { rows } = await control.query("DELETE FROM notes WHERE text <> 'workload' RETURNING text");
  assert.deepEqual(rows, [], "nothing of a call that failed is kept");
}

async function endsAs(client, kind, how, ending) {
  await assert.rejects(call(client, kind, `hostile:${kind}`, { how }), (error) => {
    assert.match(error.code ?? String(error), new RegExp(ending.code));
    assert.match(error.message, ending.message);
    assert.ok(error.message.length < 2 ** 20, "the message is bounded");
    return true;
  });
  assert.deepEqual(await call(client, "query", "hostile:next", { n: 1 }), [null, null, 2], "the next call works");
}

/** Runs `body` with connections of its own. */
async function withSessions(count, body) {
  const clients = await Promise.all(Array.from({ length: count }, () => connect(DATABASE)));
  try {
    await Promise.all(clients.map((client) => body(client)));
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})));
  }
}

/** What must end by what it fills is not ended by its time, however slow the machine is. */
async function allowTime(client, ending) {
  const code = String(ending.code);
  if (/53200/.test(code) && !/57014/.test(code)) await client.query("SET pg_live.user_time_ms = 60000");
}

for (const [how, ending] of Object.entries(ENDINGS)) {
  test(`${how}: ended with a reason`, async () => {
    await withSessions(1, async (client) => {
      await allowTime(client, ending);
      for (let n = 0; n < TIMES; n += 1) await endsAs(client, "mutation", how, ending);
      await endsAs(client, "query", how, ending);
    });
    await withSessions(SESSIONS, async (client) => {
      await allowTime(client, ending);
      await endsAs(client, "mutation", how, ending);
    });
    await unharmed();
  });
}

test("in a call that SQL makes within a call", async () => {
  const endings = { loop: TIMED_OUT, regex: TIMED_OUT, heap: OUT_OF_MEMORY, recursion: TOO_DEEP, unhandled: thrown(/nobody looks/) };
  for (const [how, ending] of Object.entries(endings)) {
    for (const prefix of ["nested", "mutation"]) {
      await withSessions(2, async (client) => {
        await allowTime(client, ending);
        for (let n = 0; n < TIMES; n += 1) {
          await assert.rejects(call(client, "mutation", "hostile:swallow", { text: `${prefix} ${how}` }), (error) => {
            assert.match(error.code, new RegExp(ending.code));
            assert.match(error.message, ending.message);
            return true;
          });
          assert.deepEqual(await call(client, "query", "hostile:next", { n: 1 }), [null, null, 2]);
        }
      });
    }
  }
  await unharmed();
});

test("recursion through SQL", async () => {
  await withSessions(2, async (client) => {
    await client.query("SET pg_live.user_time_ms = 60000");
    for (let n = 0; n < TIMES; n += 1) {
      await assert.rejects(call(client, "mutation", "hostile:write", { text: "deeper" }), { code: "54001" });
      assert.deepEqual(await call(client, "query", "hostile:next", { n: 1 }), [null, null, 2]);
    }
  });
  await unharmed();
});

test("no function swallows an error of Postgres", async () => {
  await withSessions(SESSIONS, async (client) => {
    for (let n = 0; n < TIMES; n += 1) {
      await assert.rejects(call(client, "mutation", "hostile:swallow", { text: "raise" }), {
        code: "P0001",
        message: "raised by SQL",
      });
    }
    assert.deepEqual(await call(client, "query", "hostile:next", { n: 1 }), [null, null, 2]);
  });
  await unharmed();
});

test("a result that is no JSON text", async () => {
  await withSessions(1, (client) => assert.rejects(call(client, "query", "hostile:notJson"), thrown(/not a JSON text/)));
});

test("a write that is not awaited does not happen", async () => {
  await withSessions(1, (client) => call(client, "mutation", "hostile:unawaited"));
  await unharmed();
});

const CANCELED = { code: "57014", message: /canceling statement due to/ };
const ENDLESS = ["loop", "promiseChain", "awaitLoop", "syscallLoop", "syncSyscallLoop", "regex", "finallyLoop", "sortLoop"];

/** The calls that are interrupted: at the top, in a trigger, in a mutation of a trigger. */
const INTERRUPTED = [
  ...ENDLESS.map((how) => ["hostile:mutation", { how }, how]),
  ...["nested loop", "mutation syscallLoop", "nested promiseChain"].map((text) => ["hostile:swallow", { text }, text]),
];

async function prepareEndless(client) {
  await client.query("SET pg_live.user_time_ms = 60000; SET pg_live.heap_size_mb = 1024");
}

/** Waits until the session has run for a while. */
const soon = () => new Promise((resolve) => setTimeout(resolve, 30 + 20 * Math.random()));

for (const [path, args, name] of INTERRUPTED) {
  test(`${name}: statement_timeout, at the first and at later calls`, async () => {
    await withSessions(SESSIONS / 2, async (client) => {
      await prepareEndless(client);
      await client.query("SET statement_timeout = 100");
      for (let n = 0; n < TIMES; n += 1) await assert.rejects(call(client, "mutation", path, args), CANCELED);
      await client.query("SET statement_timeout = 0");
      assert.deepEqual(await call(client, "query", "hostile:next", { n: 1 }), [null, null, 2]);
    });
    await unharmed();
  });

  test(`${name}: pg_cancel_backend, at the first and at later calls`, async () => {
    await withSessions(SESSIONS / 2, async (client) => {
      await prepareEndless(client);
      for (let n = 0; n < TIMES; n += 1) {
        const ended = assert.rejects(call(client, "mutation", path, args), CANCELED);
        await soon();
        await control.query("SELECT pg_cancel_backend($1)", [client.processID]);
        await ended;
      }
      assert.deepEqual(await call(client, "query", "hostile:next", { n: 1 }), [null, null, 2]);
    });
    await unharmed();
  });

  test(`${name}: pg_terminate_backend, at the first and at a later call`, async () => {
    let sessions = 0;
    await withSessions(SESSIONS / 2, async (client) => {
      await prepareEndless(client);
      sessions += 1;
      if (sessions % 2 === 0) await call(client, "query", "hostile:next", { n: 1 });
      const ended = assert.rejects(call(client, "mutation", path, args), { code: "57P01", severity: "FATAL" });
      await soon();
      await control.query("SELECT pg_terminate_backend($1)", [client.processID]);
      await ended;
    });
    await unharmed();
  });
}

test("pg_terminate_backend inside of JavaScript inside of SQL", async () => {
  await withSessions(SESSIONS, async (client) => {
    await assert.rejects(call(client, "mutation", "hostile:swallow", { text: "terminate" }), {
      code: "57P01",
      severity: "FATAL",
    });
  });
  await unharmed();
});

/** What the postmaster says of the process, which it says only if it is asked to say much. */
async function exitOf(client, body) {
  await control.query("ALTER SYSTEM SET log_min_messages = 'debug2'");
  await control.query("SELECT pg_reload_conf()");
  try {
    await soon();
    await body();
    const said = new RegExp(`server process \\(PID ${client.processID}\\) (.*)`);
    for (let tries = 0; tries < 100; tries += 1) {
      const found = said.exec(await readFile(process.env.CLUSTER_LOG, "utf8"));
      if (found) return found[1];
      await soon();
    }
    return "nothing";
  } finally {
    await control.query("ALTER SYSTEM RESET log_min_messages");
    await control.query("SELECT pg_reload_conf()");
  }
}

test("where V8 itself gives up, the process exits with status 1", async () => {
  await withSessions(1, async (client) => {
    const ended = () => assert.rejects(call(client, "mutation", "hostile:mutation", { how: "fill" }), { severity: "FATAL" });
    assert.equal(await exitOf(client, ended), "exited with exit code 1");
  });
  await unharmed();
});

for (const how of ["split", "fill"]) {
  test(`${how}: where V8 itself gives up, only the session ends`, async () => {
    const gone = { code: "53200", severity: "FATAL" };
    for (let n = 0; n < TIMES; n += 1) {
      await withSessions(1, async (client) => {
        if (n > 0) await call(client, "query", "hostile:next", { n });
        await assert.rejects(call(client, "mutation", "hostile:mutation", { how }), gone);
      });
    }
    await withSessions(SESSIONS, (client) => assert.rejects(call(client, "mutation", "hostile:mutation", { how }), gone));
    await withSessions(1, async (client) => {
      await assert.rejects(call(client, "mutation", "hostile:swallow", { text: `nested ${how}` }), gone);
    });
    await unharmed();
  });
}
