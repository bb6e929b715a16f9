// Two readers of the chat example, each in a page of a real browser.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Chat } from "../lib/chat.mjs";
import { until } from "../lib/wait.mjs";

const PATIENCE = 60_000;

/** @type {Chat} */ let chat;
let ada;
let grace;
let db;
let pages;

before(async () => {
  chat = await Chat.start();
  db = chat.server.sql();
  ada = await chat.open("Ada");
  grace = await chat.open("Grace", { colorScheme: "dark" });
  pages = [ada, grace];
  await Promise.all(pages.map((page) => page.connectionIs("Live")));
});

after(async () => {
  await chat?.stop();
});

const everyPage = (action) => Promise.all(pages.map(action));

test("an empty channel says so", async () => {
  await ada.page.getByRole("heading", { name: "No messages in #general yet" }).waitFor();
});

test("what is typed in one page is shown in the other", async () => {
  await ada.send("Hello from Ada");
  await everyPage((page) => page.shows("Hello from Ada"));
  await grace.send("Hello back");
  await everyPage((page) => page.shows("Hello back"));
  await grace.page.getByRole("listitem", { name: "Ada: Hello from Ada" }).waitFor();
});

test("psql writes, both pages show it; psql deletes, it is gone in both", async () => {
  await db.query("INSERT INTO messages(author, body) VALUES ('psql', 'Hello from psql')");
  await everyPage((page) => page.shows("Hello from psql"));
  await db.query("UPDATE messages SET body = 'Changed by psql' WHERE body = 'Hello from psql'");
  await everyPage((page) => page.shows("Changed by psql"));
  await everyPage((page) => page.doesNotShow("Hello from psql"));
  await db.query("DELETE FROM messages WHERE author = 'psql'");
  await everyPage((page) => page.doesNotShow("Changed by psql"));
});

test("a message is shown before the server has it, and once only after", async () => {
  const slow = await chat.open("Slow");
  await slow.connectionIs("Live");
  await slow.send("At once");
  await slow.page.getByText("At once").waitFor({ timeout: 1000 });
  await slow.shows("At once");
  await everyPage((page) => page.shows("At once"));
  assert.equal((await slow.messages()).filter((body) => body === "At once").length, 1);
  await slow.page.context().close();
});

test("one's own message can be deleted, another's cannot", async () => {
  await ada.send("A mistake");
  await everyPage((page) => page.shows("A mistake"));
  assert.equal(await grace.page.getByRole("button", { name: "Delete message: A mistake" }).count(), 0);
  await ada.deleteOwn("A mistake");
  await everyPage((page) => page.doesNotShow("A mistake"));
});

test("a message that the server refuses is explained and not lost", async () => {
  await ada.page.getByRole("textbox", { name: "Your name" }).fill("Ada Lovelace");
  const field = ada.page.getByRole("textbox", { name: "Message #general" });
  await field.evaluate((element) => element.removeAttribute("maxlength"));
  await ada.send("x".repeat(2001));
  await ada.page.getByRole("alert").filter({ hasText: "at most 2000 characters" }).waitFor();
  assert.equal((await field.inputValue()).length, 2001);
  await field.fill("");
});

test("channels: one created here is there too, and keeps its messages to itself", async () => {
  await ada.createChannel("Design Team");
  await until("Ada is in it", async () => (await ada.heading()) === "design-team");
  await grace.openChannel("design-team");
  await ada.send("Only for designers");
  await everyPage((page) => page.shows("Only for designers"));
  await db.query("INSERT INTO messages(author, body, channel) VALUES ('psql', 'Designed in SQL', 'design-team')");
  await everyPage((page) => page.shows("Designed in SQL"));
  await everyPage((page) => page.openChannel("general"));
  await everyPage((page) => page.shows("Hello from Ada"));
  await everyPage(async (page) => assert.ok(!(await page.messages()).includes("Only for designers")));
  await db.query("INSERT INTO channels(name) VALUES ('from-sql')");
  await grace.openChannel("from-sql");
  await grace.openChannel("general");
});

test("the name is kept over a reload", async () => {
  await grace.page.getByRole("textbox", { name: "Your name" }).fill("Grace Hopper");
  await grace.page.reload();
  await grace.connectionIs("Live");
  assert.equal(await grace.page.getByRole("textbox", { name: "Your name" }).inputValue(), "Grace Hopper");
  await grace.send("Named");
  await ada.page.getByRole("listitem", { name: "Grace Hopper: Named" }).waitFor();
});

test("a channel shows its newest 50 messages, the last one in view", async () => {
  await db.query("INSERT INTO messages(author, body) SELECT 'psql', 'number ' || n FROM generate_series(1, 60) AS n");
  await everyPage((page) => page.shows("number 60"));
  const messages = await ada.messages();
  assert.equal(messages.length, 50);
  assert.deepEqual([messages[0], messages[49]], ["number 11", "number 60"]);
  assert.ok(await ada.page.getByText("number 60").evaluate((element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return top > 0 && bottom < window.innerHeight;
  }));
});

/** Both pages show what the table holds, and follow SQL and each other. */
async function assertAllWell(label) {
  await chat.server.whenDatabaseIsUp();
  const pool = chat.server.sql({ max: 1 });
  await until("the insert goes through", () => pool.query("INSERT INTO messages(author, body) VALUES ('psql', $1)", [`sql after ${label}`]));
  await everyPage((page) => page.shows(`sql after ${label}`, PATIENCE));
  await ada.send(`typed after ${label}`);
  await everyPage((page) => page.shows(`typed after ${label}`, PATIENCE));
  const { rows } = await pool.query(
    'SELECT body FROM messages WHERE channel IS NULL ORDER BY "_creationTime" DESC, _id DESC LIMIT 50',
  );
  await pool.end();
  const expected = rows.map(({ body }) => body).toReversed();
  await everyPage(async (page) => assert.deepEqual(await page.messages(), expected));
  await everyPage((page) => page.connectionIs("Live"));
}

describe("both pages recover by themselves and are right", { timeout: 600_000 }, () => {
  test("kill -9 of the relay", async () => {
    await chat.server.killRelay();
    await everyPage((page) => page.connectionIs("Reconnecting"));
    await db.query("INSERT INTO messages(author, body) VALUES ('psql', 'written while the relay was away')");
    await ada.send("typed while the relay was away");
    await chat.server.startRelay();
    await everyPage((page) => page.shows("written while the relay was away", PATIENCE));
    await everyPage((page) => page.shows("typed while the relay was away", PATIENCE));
    await assertAllWell("the relay");
  });

  test("kill -9 of the background worker", async () => {
    await chat.server.killWorker();
    await assertAllWell("the worker");
  });

  for (const [how, signal] of [["fast shutdown", "SIGINT"], ["immediate shutdown", "SIGQUIT"]]) {
    test(`Postgres is ended (${how}) and started again`, async () => {
      await chat.server.endPostgres(signal);
      await assertAllWell(how);
    });
  }
});

test("no page had an uncaught exception", async () => {
  assert.deepEqual(pages.flatMap(({ failures }) => failures), []);
});
