// Functions in LANGUAGE js that call one another through SQL: however the innermost ends, the session goes on.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { call, connect, createDatabase } from "./lib.mjs";

const DATABASE = "language";
const SESSIONS = 4;
const TIMES = 3;

/** @type {import("pg").Client} */ let control;
let startedAt;

before(async () => {
  control = await createDatabase(DATABASE, ["hostile.js", "register.js"]);
  await control.query(`
    ALTER DATABASE ${DATABASE} SET pg_live.user_time_ms = 150;
    ALTER DATABASE ${DATABASE} SET pg_live.heap_size_mb = 32;
    CREATE TABLE kept (text text);
    CREATE FUNCTION ends(how text) RETURNS int SECURITY DEFINER LANGUAGE js AS $$
      sql\`INSERT INTO public.kept VALUES (\${how})\`;
      switch (how) {
        case "loop": for (;;);
        case "regex": return /^(a+)+$/.test("a".repeat(60) + "b") ? 1 : 0;
        case "promises": { const again = () => Promise.resolve().then(again); again(); return 1; }
        case "heap": { const kept = []; for (;;) kept.push(new Array(1000).fill({})); }
        case "fill": return new Array(1.2e8).fill(1).length;
        case "recursion": { const deeper = (n) => deeper(n + 1) + 1; return deeper(0); }
        case "deeper": return sql\`SELECT public.ends('deeper') AS n\`[0].n;
        case "query": return sql\`SELECT live.query('hostile:query', '{"how": "loop"}') AS n\`[0].n;
        case "raise": sql\`SELECT 1 / 0\`;
        case "terminate": sql\`SELECT pg_terminate_backend(pg_backend_pid())\`; for (;;);
        default: return 7;
      }
    $$;
    CREATE FUNCTION through(how text) RETURNS int LANGUAGE js AS $$
      try {
        return sql\`SELECT public.ends(\${how}) AS n\`[0].n + 1;
      } catch (error) {
        return -1;
      } finally {
        sql\`INSERT INTO public.kept VALUES ('finally')\`;
      }
    $$;
    CREATE FUNCTION by_sql(how text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN public.through(how); END $$;
    CREATE FUNCTION outermost(how text) RETURNS int LANGUAGE js AS $$ return sql\`SELECT public.by_sql(\${how}) AS n\`[0].n $$;
    CREATE FUNCTION of_trigger() RETURNS trigger LANGUAGE js AS $$
      if (NEW.text.startsWith("js ")) NEW.text += sql\`SELECT public.outermost(\${NEW.text.slice(3)}) AS n\`[0].n;
      return NEW;
    $$;
    CREATE TRIGGER of_trigger BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION of_trigger();
    GRANT ALL ON LANGUAGE js TO ${DATABASE};
    GRANT ALL ON kept TO ${DATABASE}`);
  startedAt = await postmasterStart();
});

after(async () => {
  await control?.end();
});

async function postmasterStart() {
  const { rows } = await control.query("SELECT pg_postmaster_start_time()::text AS at");
  return rows[0].at;
}

async function unharmed() {
  assert.equal(await postmasterStart(), startedAt, "the server runs on");
  const { rows } = await control.query("SELECT text FROM kept UNION ALL SELECT text FROM notes WHERE text LIKE 'js %'");
  assert.deepEqual(rows, [], "nothing of a call that failed is kept");
}

async function withSessions(count, body) {
  const clients = await Promise.all(Array.from({ length: count }, () => connect(DATABASE)));
  try {
    await Promise.all(clients.map((client) => body(client)));
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})));
  }
}

/** From SQL, and from a mutation through a trigger. */
const WAYS = {
  "from SQL": (client, how) => client.query("SELECT outermost($1)", [how]),
  "from a mutation": (client, how) => call(client, "mutation", "hostile:write", { text: `js ${how}` }),
};

async function worksOn(client) {
  await client.query("BEGIN");
  const { rows } = await client.query("SELECT outermost('well') AS n");
  await client.query("ROLLBACK");
  assert.equal(rows[0].n, 8);
}

const ENDINGS = {
  loop: { code: "57014", message: /timed out/ },
  regex: { code: "57014", message: /timed out/ },
  promises: { code: /57014|53200/ },
  heap: { code: "53200", message: /out of memory/ },
  recursion: { code: "LV011", message: /Maximum call stack/ },
  deeper: { code: /54001|53200/ },
  query: { code: "57014", message: /timed out/ },
  raise: { code: "22012", message: /division by zero/ },
};

/** These end by what they have filled, not by their time, however slow the machine is. */
const FILLS = new Set(["deeper", "heap"]);

for (const [way, run] of Object.entries(WAYS)) {
  for (const [how, { code, message = /./ }] of Object.entries(ENDINGS)) {
    test(`${how}, ${way}`, async () => {
      await withSessions(SESSIONS, async (client) => {
        if (FILLS.has(how)) await client.query("SET pg_live.user_time_ms = 60000");
        for (let n = 0; n < TIMES; n += 1) {
          await assert.rejects(run(client, how), (error) => {
            assert.match(error.code ?? String(error), new RegExp(code));
            assert.match(error.message, message);
            return true;
          });
          await worksOn(client);
        }
      });
      await unharmed();
    });
  }

  test(`statement_timeout and pg_cancel_backend, ${way}`, async () => {
    await withSessions(SESSIONS, async (client) => {
      await client.query("SET pg_live.user_time_ms = 60000");
      for (let n = 0; n < TIMES; n += 1) {
        await client.query("SET statement_timeout = 50");
        await assert.rejects(run(client, "loop"), { code: "57014", message: /canceling statement due to statement timeout/ });
        await client.query("SET statement_timeout = 0");
        const ended = assert.rejects(run(client, "loop"), { code: "57014", message: /canceling statement due to user request/ });
        await new Promise((resolve) => setTimeout(resolve, 40));
        await control.query("SELECT pg_cancel_backend($1)", [client.processID]);
        await ended;
        await worksOn(client);
      }
    });
    await unharmed();
  });

  test(`pg_terminate_backend, ${way}`, async () => {
    await withSessions(SESSIONS, async (client) => {
      await client.query("SET pg_live.user_time_ms = 60000");
      await assert.rejects(run(client, "terminate"), { code: "57P01", severity: "FATAL" });
    });
    await unharmed();
  });

  test(`where V8 itself gives up, ${way}`, async () => {
    await withSessions(SESSIONS, (client) => assert.rejects(run(client, "fill"), { code: "53200", severity: "FATAL" }));
    await unharmed();
  });
}

test("set_config for the session in functions of other languages is not found, and is noted", async () => {
  await withSessions(1, async (client) => {
    await client.query(`CREATE FUNCTION sets() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN set_config('app.who', 'left', false); END $$`);
    await client.query(`CREATE FUNCTION sets_by_js() RETURNS text LANGUAGE js AS $$ return sql\`SELECT sets()\`[0].sets $$`);
    await client.query("SELECT live.prepare_connection()");
    const clean = async () => (await client.query("SELECT clean FROM live.last_commit()")).rows[0].clean;
    assert.equal(await clean(), true);
    await client.query("SELECT sets_by_js()");
    assert.equal(await clean(), false);
    await client.query("RESET app.who");
    assert.equal(await clean(), true);
  });
});

/** What triggers in PL/pgSQL may leave in the session of a mutation. */
const LEFTOVERS = {
  "a setting": "PERFORM set_config('app.who', NEW.text, false)",
  "a setting by SET": "SET application_name = 'left'",
  "a channel": "LISTEN left_behind",
  "a lock": "PERFORM pg_advisory_lock(77)",
  "a temporary table": "CREATE TEMPORARY TABLE left_behind (a int)",
  "a plan": "EXECUTE 'PREPARE left_behind AS SELECT 1'",
};
const HARMLESS = {
  "a local setting": "PERFORM set_config('app.who', NEW.text, true)",
  "a local setting by SET": "SET LOCAL application_name = 'left'",
  "a lock of the transaction": "PERFORM pg_advisory_xact_lock(78)",
  "a table that goes at the end": "CREATE TEMPORARY TABLE passing (a int) ON COMMIT DROP",
  nothing: "NULL",
};

for (const [what, code] of Object.entries({ ...LEFTOVERS, ...HARMLESS })) {
  const leaves = Object.hasOwn(LEFTOVERS, what);
  test(`${what} of a trigger ${leaves ? "is noted" : "is no reason to close a connection"}`, async () => {
    await control.query(`CREATE OR REPLACE FUNCTION leaves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${code}; RETURN NEW; END $$;
      CREATE TRIGGER leaves BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION leaves()`);
    await withSessions(1, async (client) => {
      await client.query("SELECT live.prepare_connection()");
      await call(client, "mutation", "hostile:write", { text: "leaves" });
      const { rows } = await client.query("SELECT clean FROM live.last_commit()");
      assert.equal(rows[0].clean, !leaves);
    });
    await control.query("DROP TRIGGER leaves ON notes");
  });
}
