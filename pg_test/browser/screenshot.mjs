// Writes docs/screenshot.png: the chat example with a short conversation, one line of it from psql.
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Chat, CHAT } from "../lib/chat.mjs";

const target = process.argv[2] ?? join(dirname(dirname(CHAT)), "docs/screenshot.png");

/** Minutes ago, author, body. */
const CONVERSATION = [
  [26, "Grace Hopper", "Morning! Did the move to our own Postgres work out?"],
  [24, "Ada Lovelace", "It did. Every query is a TypeScript function that runs inside the database."],
  [24, "Ada Lovelace", "Same app code as before, just another URL."],
  [21, "Linus Pauling", "And who tells the browsers that something changed?"],
  [20, "Grace Hopper", "The commit itself. It does not matter who writes: a mutation, an ORM, a cron job…"],
  [3, "psql", "Hello from a plain INSERT!"],
  [2, "Ada Lovelace", "That one came straight from the terminal. No app code involved."],
];

const chat = await Chat.start();
try {
  const db = chat.server.sql({ max: 1 });
  await db.query("INSERT INTO channels(name) VALUES ('design'), ('random'), ('releases')");
  for (const [minutes, author, body] of CONVERSATION) {
    await db.query('INSERT INTO messages(author, body, "_creationTime") VALUES ($1, $2, $3)', [
      author,
      body,
      Date.now() - minutes * 60_000,
    ]);
  }
  const ada = await chat.open("Ada Lovelace", { colorScheme: "light", deviceScaleFactor: 2, viewport: { width: 1120, height: 736 } });
  await ada.connectionIs("Live");
  await ada.shows("That one came straight");
  await ada.page.getByRole("textbox", { name: "Message #general" }).fill("So psql is a chat client now?");
  await ada.page.waitForTimeout(500);
  await mkdir(dirname(target), { recursive: true });
  await ada.page.screenshot({ path: target });
  console.log(`wrote ${target}`);
} finally {
  await chat.stop();
}
