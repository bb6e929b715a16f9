// Unusual writers, and changes of the table itself, between ordinary writes: the subscriber follows all of them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LiveClient } from "../lib/clients.mjs";
import { Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

/** @type {Server} */ let server;
/** @type {LiveClient} */ let client;
let owner;
let admin;
let list;
let inserted = 0;

before(async () => {
  server = await Server.start();
  client = new LiveClient(server.url);
  owner = server.sql();
  admin = server.sql({ admin: true });
  list = client.subscribe("messages:list", {});
  await list.ready();
});

after(async () => {
  await client?.close();
  await server?.stop();
});

/** Waits until the subscriber shows what the table holds, newest first. */
async function followsTable() {
  const { rows } = await owner.query(
    'SELECT body FROM messages WHERE channel IS NULL ORDER BY "_creationTime" DESC, _id DESC LIMIT 50',
  );
  const expected = rows.map(({ body }) => body).join();
  await list.becomes(`shows ${expected}`, (messages) => messages.map(({ body }) => body).join() === expected);
}

async function insertIsFollowed() {
  inserted += 1;
  await owner.query("INSERT INTO messages(author, body) VALUES ('sql', $1)", [`plain ${inserted}`]);
  await list.becomes("shows the new row", ([first]) => first?.body === `plain ${inserted}`);
  await followsTable();
}

const writes = {
  "COPY": ["COPY messages(author, body) FROM PROGRAM 'printf ''sql\\tcopied 1\\nsql\\tcopied 2\\n'''", "admin"],
  "MERGE":
    "MERGE INTO messages AS m USING (VALUES ('copied 1')) AS v(body) ON m.body = v.body WHEN MATCHED THEN UPDATE SET body = 'merged'",
  "a WITH that deletes and inserts":
    "WITH gone AS (DELETE FROM messages WHERE body = 'copied 2' RETURNING *) " +
    "INSERT INTO messages(author, body) SELECT author, body || ', moved' FROM gone",
  "a DO block with an exception handler":
    "DO $$ BEGIN INSERT INTO messages(author, body) VALUES ('sql', 'kept'); " +
    "BEGIN INSERT INTO messages(author, body) VALUES ('sql', 'undone'); RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END $$",
  "replication's role": [
    "BEGIN; SET LOCAL session_replication_role = replica; INSERT INTO messages(author, body) VALUES ('sql', 'replicated'); COMMIT",
    "admin",
  ],
  "a change of the creation time": `UPDATE messages SET "_creationTime" = 1 WHERE body = 'merged'`,
  "a change of the id": "UPDATE messages SET _id = live.new_id(live.id_number(_id)) WHERE body = 'kept'",
  "TRUNCATE": "TRUNCATE messages",
};

for (const [what, how] of Object.entries(writes)) {
  test(`${what} is followed`, async () => {
    const [statement, who] = [how].flat();
    await insertIsFollowed();
    await (who === "admin" ? admin : owner).query(statement);
    await followsTable();
    await insertIsFollowed();
  });
}

const changes = {
  "a new column": "ALTER TABLE messages ADD COLUMN note text",
  "a column less": "ALTER TABLE messages DROP COLUMN note",
  "an index of one's own": "CREATE INDEX ON messages(author)",
  "VACUUM FULL": "VACUUM FULL messages",
  "REINDEX": "REINDEX TABLE messages",
  "CLUSTER": "CLUSTER messages USING messages_pkey",
  "another name and back": "ALTER TABLE messages RENAME TO m; ALTER TABLE m RENAME TO messages",
  "triggers switched off by mistake": "ALTER TABLE messages DISABLE TRIGGER ALL",
  "triggers switched on": "ALTER TABLE messages ENABLE TRIGGER ALL",
};

for (const [what, statement] of Object.entries(changes)) {
  test(`after ${what}, writes are followed`, async () => {
    await owner.query(statement);
    await insertIsFollowed();
    await owner.query("UPDATE messages SET body = body || '.' WHERE body = $1", [`plain ${inserted}`]);
    await followsTable();
    await owner.query("DELETE FROM messages WHERE body = $1", [`plain ${inserted}.`]);
    await followsTable();
  });
}

test("rows that the schema does not allow are refused, and nothing changes", async () => {
  await insertIsFollowed();
  const shown = list.values.length;
  await assert.rejects(owner.query("INSERT INTO messages(author) VALUES ('sql')"), /required field `body`/);
  await assert.rejects(
    owner.query(`INSERT INTO messages(author, body, _extra) VALUES ('sql', 'x', '{"surprise": 1}')`),
    /extra field `surprise`/,
  );
  await insertIsFollowed();
  assert.equal(list.values.length, shown + 1);
});

test("a table that is gone is an error of its queries only", async () => {
  const others = client.subscribe("accounts:total", {});
  await others.becomes("is 0", (total) => total === 0);
  const errors = list.errors.length;
  await owner.query("DROP TABLE messages");
  await until("the query fails", () => list.errors.length > errors);
  assert.match(list.errors.at(-1).message, /messages/);
  await owner.query("INSERT INTO accounts(name, balance) VALUES ('still', 7)");
  await others.becomes("is 7", (total) => total === 7);
});
