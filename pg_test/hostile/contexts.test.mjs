// Nothing of a call shows in another: not in the next one of a session, of another function, role or deployment,
// and whether its context was made for it, made ahead, or has served other calls.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { call, connect, createDatabase, deploy, source } from "./lib.mjs";

const DATABASE = "contexts";
const CALLS = 6;
const ASKS_FOR_REUSE = "export const experimental_reuseContext = true;\n";

/** @type {import("pg").Client} */ let control;

before(async () => {
  control = await createDatabase(DATABASE, ["state.js", "other.js", "register.js"]);
  await control.query(`ALTER DATABASE ${DATABASE} SET pg_live.user_time_ms = 300`);
});

after(async () => {
  await control?.end();
});

async function withAnySession(body) {
  const client = await connect(DATABASE);
  const notices = [];
  client.on("notice", (notice) => notices.push(notice.message));
  try {
    await body(client, notices);
  } finally {
    await client.end().catch(() => {});
  }
}

async function modules(reuse) {
  const [state, other, register] = await Promise.all(["state.js", "other.js", "register.js"].map(source));
  const asks = reuse ? ASKS_FOR_REUSE : "";
  return { "state.js": asks + state, "other.js": asks + other, "register.js": register };
}

/** Module variables are what a module that asks for reuse wants to keep. */
const forget = ({ module, kept, ...rest }) => rest;

/** Between statements contexts are made ahead; within one statement they are not. */
const WAYS = {
  "one statement per call": async (client, path) => {
    const seen = [];
    for (let n = 0; n < CALLS; n += 1) {
      seen.push(await call(client, "query", path));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return seen;
  },
  "many calls in one statement": async (client, path) => {
    const { rows } = await client.query(`SELECT live.query('${path}') AS value FROM generate_series(1, ${CALLS})`);
    return rows.map(({ value }) => value);
  },
  "many statements in one transaction": async (client, path) => {
    const seen = [];
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    for (let n = 0; n < CALLS; n += 1) seen.push(await call(client, "query", path));
    await client.query("COMMIT");
    return seen;
  },
};

/** Calls until the image of the deployment is there and this session has started from it. */
async function adoptImage(client, path) {
  const adopted = async () => {
    const { rows } = await client.query("SELECT value FROM live.isolate_stats() WHERE name = 'image_modules'");
    return Number(rows[0].value) > 0;
  };
  const deadline = Date.now() + 60_000;
  while (!(await adopted())) {
    assert.ok(Date.now() < deadline, "an image is made");
    await client.query(`SELECT live.query('${path}') FROM generate_series(1, 10)`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

for (const [label, { reuse, image }] of Object.entries({
  "reuse off": { reuse: false, image: false },
  "reuse on": { reuse: true, image: false },
  "from an image": { reuse: false, image: true },
  "from an image, reuse on": { reuse: true, image: true },
})) {
  const visible = reuse ? forget : (seen) => seen;
  const withSession = (body) =>
    withAnySession(async (client, notices) => {
      if (image) await adoptImage(client, "state:look");
      else await client.query("SET pg_live.image_cache_mb = 0");
      await body(client, notices);
    });

  test(`${label}: deploy`, async () => {
    await deploy(control, await modules(reuse));
  });

  for (const [way, run] of Object.entries(WAYS)) {
    test(`${label}, ${way}: what a call leaves does not show`, async () => {
      await withSession(async (client) => {
        const first = await call(client, "query", "state:leaveAndLook");
        assert.equal(first.module, 0);
        assert.equal(first.global, null);
        for (const seen of await run(client, "state:leaveAndLook")) assert.deepEqual(visible(seen), visible(first));
        const { atImport, now, random, ...seen } = await call(client, "query", "state:look");
        assert.deepEqual(visible(seen), visible(first));
      });
    });
  }

  test(`${label}: other functions and other roles see nothing either`, async () => {
    await withSession(async (client) => {
      await call(client, "query", "state:leaveAndLook");
      const expected = { module: 0, global: null, prototype: null, json: '{"a":1}' };
      assert.deepEqual(await call(client, "query", "other:look"), expected);
      await client.query(`SET ROLE ${DATABASE}`);
      const { module, kept, global, prototype } = await call(client, "query", "state:leaveAndLook");
      assert.deepEqual([global, prototype], [null, null]);
      if (!reuse) assert.deepEqual([module, kept], [0, 0]);
    });
  });

  test(`${label}: work that a call leaves in a queue is not done in another`, async () => {
    await withSession(async (client, notices) => {
      const before = await call(client, "query", "state:look");
      for (let n = 0; n < 3; n += 1) {
        await assert.rejects(call(client, "query", "state:leaveWork"), /failed/);
        await assert.rejects(call(client, "query", "state:leaveWorkAndLoop"), /timed out/);
        const { module } = await call(client, "query", "state:look");
        assert.ok(module - before.module < 100 * (reuse ? n + 2 : 1));
      }
      notices.length = 0;
      await call(client, "query", "state:look");
      assert.ok(!notices.some((line) => line.includes("late")), "nothing is done late");
    });
  });

  test(`${label}: clock and random numbers are the call's own`, async () => {
    await withSession(async (client) => {
      const seen = await WAYS["one statement per call"](client, "state:look");
      assert.equal(new Set(seen.map(({ random }) => random)).size, CALLS);
      assert.equal(new Set(seen.map(({ atImport }) => JSON.stringify(atImport))).size, 1, "an import is the same each time");
      assert.ok(seen.every(({ now, atImport }) => now >= atImport[0]));
      assert.ok(seen.at(-1).now > seen[0].now);
    });
  });

  test(`${label}: another deployment sees nothing of the one before`, async () => {
    await withSession(async (client) => {
      await call(client, "query", "state:leaveAndLook");
      const changed = await modules(reuse);
      changed["state.js"] += `\nexport const version = register("Query", () => "${label}");\n`;
      await deploy(control, changed);
      assert.equal(await call(client, "query", "state:version"), label);
      const seen = await call(client, "query", "state:leaveAndLook");
      assert.deepEqual([seen.module, seen.kept, seen.global], [0, 0, null]);
    });
  });
}

test("what a module logs while it is imported is told by every call", async () => {
  await deploy(control, await modules(false));
  await withAnySession(async (client, notices) => {
    await WAYS["one statement per call"](client, "state:look");
    assert.equal(notices.filter((line) => line.includes("imported")).length, CALLS);
  });
});

test("what a module sees at import, and which globals there are, is the same from an image", async () => {
  const probe = await source("probe.js");
  const register = await source("register.js");
  await deploy(control, { "probe.js": probe, "register.js": register });
  await withAnySession(async (client) => {
    await client.query("SET pg_live.image_cache_mb = 0");
    const evaluated = await call(client, "query", "probe:look");
    await client.query("RESET pg_live.image_cache_mb");
    await adoptImage(client, "probe:look");
    const before = await client.query("SELECT value FROM live.isolate_stats() WHERE name = 'cached_modules'");
    assert.deepEqual(await call(client, "query", "probe:look"), evaluated);
    const after = await client.query("SELECT value FROM live.isolate_stats() WHERE name = 'cached_modules'");
    assert.equal(after.rows[0].value, before.rows[0].value, "nothing was evaluated");
  });
});

for (const [name, code] of Object.entries({
  "holds an object of Intl": "const format = new Intl.NumberFormat('en-US'); export const look = register('Query', () => format.format(1234.5));",
  "holds WebAssembly":
    "const module = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])); export const look = register('Query', () => `${module}`);",
  "looks for a new built-in at import":
    "const has = typeof Promise.try; export const look = register('Query', () => has);",
  "freezes built-ins at import": "Object.freeze(Promise); Object.freeze(Map.prototype); export const look = register('Query', () => Object.isFrozen(Promise));",
  "makes globals at import":
    "globalThis.Atomics = 'mine'; Error.stackTraceLimit = 3; export const look = register('Query', () => [Atomics, Error.stackTraceLimit]);",
})) {
  test(`a module that ${name} is evaluated in each call, beside others that are in the image`, async () => {
    const [state, other, register] = await Promise.all(["state.js", "other.js", "register.js"].map(source));
    const odd = `import { register } from "./register.js";\n${code}`;
    await deploy(control, { "state.js": state, "other.js": other, "register.js": register, "odd.js": odd });
    await withAnySession(async (client) => {
      await client.query("SET pg_live.image_cache_mb = 0");
      const evaluated = await call(client, "query", "odd:look");
      await client.query("RESET pg_live.image_cache_mb");
      await adoptImage(client, "other:look");
      for (let n = 0; n < 3; n += 1) assert.deepEqual(await call(client, "query", "odd:look"), evaluated);
      const { rows } = await client.query("SELECT name, value FROM live.isolate_stats() WHERE name ~ 'image|left'");
      assert.deepEqual(Object.fromEntries(rows.map(({ name, value }) => [name, Number(value)])), {
        image_modules: 2,
        modules_left_out: 1,
      });
    });
  });
}
