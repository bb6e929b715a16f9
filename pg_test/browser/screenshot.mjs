// Writes the screenshots of the examples into docs/: all, or those named.
//   npm run screenshot -- tracker
import { join } from "node:path";
import { Chat } from "../lib/chat.mjs";
import { ROOT } from "../lib/example.mjs";
import { Shop } from "../lib/shop.mjs";
import { Tracker } from "../lib/tracker.mjs";
import { until } from "../lib/wait.mjs";

const MINUTE = 60_000;

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

const options = { colorScheme: "light", deviceScaleFactor: 2, viewport: { width: 1120, height: 736 } };

/** A short conversation, one line of it from psql. */
async function chat(db, example) {
  await db.query("INSERT INTO channels(name) VALUES ('design'), ('random'), ('releases')");
  for (const [minutes, author, body] of CONVERSATION) {
    await db.query('INSERT INTO messages(author, body, "_creationTime") VALUES ($1, $2, $3)', [
      author,
      body,
      Date.now() - minutes * MINUTE,
    ]);
  }
  const ada = await example.open("Ada Lovelace", options);
  await ada.shows("That one came straight");
  await ada.page.getByRole("textbox", { name: "Message #general" }).fill("So psql is a chat client now?");
  return ada;
}

/** The sample project, an issue of it open, with a comment from psql. */
async function tracker(db, example) {
  const ada = await example.open("Ada Lovelace", { ...options, viewport: { width: 1240, height: 736 } });
  await ada.page.getByRole("button", { name: "Add sample data" }).click();
  await ada.issue("Upload of large files").waitFor();
  await db.query(
    `UPDATE issues SET "_creationTime" = "_creationTime" - (15 - number) * 7 * 3600000,
            description = 'Files over 10 MB end with "413" behind the proxy of the office.' WHERE true`,
  );
  await ada.page.reload(); // The pages that were loaded end where the issues were before.
  await ada.openIssue("Upload of large files");
  await ada.choose("Priority", "High");
  await ada.choose("Priority", "Urgent");
  await ada.comment("The limit is the proxy's, not ours. I have asked them to raise it.");
  await db.query("INSERT INTO comments (issue, body) SELECT _id, 'Seen again tonight, by the monitoring job.' FROM issues WHERE number = 8");
  await until("both comments are shown", async () => (await ada.comments()).length === 3);
  await ada.page.getByRole("textbox", { name: "New comment" }).fill("Thanks, that helps!");
  return ada;
}

/** Sample products, some orders, one of them shipped by SQL, and a basket. */
async function shop(db, example) {
  const ada = await example.open("Ada Lovelace", { ...options, viewport: { width: 1240, height: 736 } });
  await ada.page.getByRole("button", { name: "Add sample products" }).click();
  for (const [customer, names] of [
    ["Edgar Codd", ["Assam tea", "Assam tea", "Enamel mug"]],
    ["Barbara Liskov", ["Teapot", "Paper filters"]],
    ["Grace Hopper", ["Espresso beans", "Kettle"]],
    ["Ada Lovelace", ["Hand grinder"]],
  ]) {
    await ada.page.getByRole("textbox", { name: "Customer" }).fill(customer);
    for (const name of names) {
      await ada.add(name);
    }
    await ada.placeOrder();
    await ada.ordersOf(customer).waitFor();
  }
  await db.query(`INSERT INTO shipments (order_id, carrier) SELECT _id, 'Post' FROM orders WHERE customer IN ('Edgar Codd', 'Barbara Liskov')`);
  await ada.page.getByRole("button", { name: "Cancel the order of Ada Lovelace" }).click();
  await ada.add("Espresso beans");
  await ada.add("Paper filters");
  await ada.add("Paper filters");
  await until("one is cancelled", async () => (await ada.orders())[0] === "Ada Lovelace: Cancelled");
  return ada;
}

const SCENES = {
  chat: { of: Chat, set: chat, file: "screenshot.png" },
  tracker: { of: Tracker, set: tracker, file: "tracker.png" },
  shop: { of: Shop, set: shop, file: "shop.png" },
};

const names = process.argv.slice(2);
for (const name of names.length > 0 ? names : Object.keys(SCENES)) {
  const { of, set, file } = SCENES[name];
  const example = await of.start();
  try {
    const reader = await set(example.server.sql({ max: 1 }), example);
    await reader.connectionIs("Live");
    await reader.page.waitForTimeout(500);
    const path = join(ROOT, "docs", file);
    await reader.page.screenshot({ path });
    console.log(`wrote ${path}`);
  } finally {
    await example.stop();
  }
}
