// Two readers of the tracker example: pages that stay whole, optimistic updates, relations, and SQL beside it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Tracker } from "../lib/tracker.mjs";
import { until } from "../lib/wait.mjs";

/** @type {Tracker} */ let tracker;
let db;
let ada;
let grace;
let pages;

before(async () => {
  tracker = await Tracker.start();
  db = tracker.server.sql();
  ada = await tracker.open("Ada Lovelace");
  grace = await tracker.open("Grace Hopper", { colorScheme: "dark" });
  pages = [ada, grace];
  await Promise.all(pages.map((page) => page.connectionIs("Live")));
});

after(async () => {
  await tracker?.stop();
});

const everyPage = (action) => Promise.all(pages.map(action));

/** Names and titles of a project's issues in the database, newest first. */
async function stored(key, condition = "true") {
  const { rows } = await db.query(
    `SELECT p.key || '-' || i.number || ': ' || i.title AS name
       FROM issues i JOIN projects p ON p._id = i.project
      WHERE p.key = $1 AND ${condition} ORDER BY i."_creationTime" DESC, i._id DESC`,
    [key],
  );
  return rows.map(({ name }) => name);
}

/** Inserts issues by SQL, numbered from the project's newest on. */
async function insertIssues(key, titles) {
  await db.query(
    `WITH project AS (UPDATE projects SET issues = issues + $2 WHERE key = $1 RETURNING _id, issues - $2 AS before)
     INSERT INTO issues (project, number, title, description, status, priority, author)
     SELECT project._id, project.before + n, title, '', 'open', 'normal', (SELECT min(_id) FROM members)
       FROM project, unnest($3::text[]) WITH ORDINALITY AS given (title, n)`,
    [key, titles.length, titles],
  );
}

/** Waits until a page shows the newest issues of the database, at least so many, each once and in their order. */
async function showsNewest(page, key, least) {
  await until(`the newest ${least} issues or more are shown`, async () => {
    const [shown, right] = [await page.issues(), await stored(key)];
    return shown.length >= least && shown.every((name, index) => name === right[index]);
  });
}

test("an empty tracker offers sample data, which nested mutations make", async () => {
  await ada.page.getByRole("button", { name: "Add sample data" }).click();
  await grace.page.getByRole("link", { name: "Website" }).click();
  await everyPage((page) => page.issue("Deploys should not log people out").waitFor());
  await everyPage((page) => showsNewest(page, "WEB", 10));
});

test("the first page has ten issues, and each click brings more", async () => {
  assert.equal((await ada.issues()).length, 10);
  await ada.loadMore("issues");
  await until("all are shown", async () => (await ada.issues()).length === 14);
  assert.deepEqual(await ada.issues(), await stored("WEB"));
  assert.equal(await ada.page.getByRole("button", { name: "Load more issues" }).count(), 0);
});

test("an issue is shown before the server has it, and once only after", async () => {
  const holder = await db.connect();
  try {
    await holder.query("BEGIN; SELECT FROM projects WHERE key = 'WEB' FOR UPDATE");
    await ada.addIssue("Shown at once", "Urgent");
    await ada.issue("Shown at once", { pending: true }).waitFor();
    assert.equal((await stored("WEB"))[0], "WEB-14: Deploys should not log people out");
    assert.equal(await grace.issue("Shown at once").count(), 0);
  } finally {
    await holder.query("ROLLBACK");
    holder.release();
  }
  await everyPage((page) => page.issue("Shown at once").waitFor());
  assert.equal((await ada.issues()).filter((name) => name === "WEB-15: Shown at once").length, 1);
});

test("loaded pages stay without gaps and doubles while others insert and delete", async () => {
  await insertIssues("APP", Array.from({ length: 34 }, (_, n) => `Issue ${n + 1}`));
  await everyPage((page) => page.page.getByRole("link", { name: "Mobile app" }).click());
  await everyPage((page) => showsNewest(page, "APP", 10));
  await ada.loadMore("issues");
  await showsNewest(ada, "APP", 20);
  await insertIssues("APP", ["New on top 1", "New on top 2"]);
  await ada.loadMore("issues");
  await db.query("DELETE FROM issues WHERE title IN ('Issue 30', 'Issue 25', 'Issue 24', 'Issue 14', 'Issue 5')");
  await grace.addIssue("New by Grace");
  await insertIssues("APP", ["New on top 3"]);
  await showsNewest(ada, "APP", 28);
  await ada.loadMore("issues");
  await until("all are shown", async () => (await ada.issues()).length === 33);
  assert.deepEqual(await ada.issues(), await stored("APP"));
  await showsNewest(grace, "APP", 10);
});

test("both pages create at once: each issue has a number of its own", async () => {
  await everyPage(async (page) => {
    for (const n of [1, 2, 3, 4]) {
      await page.addIssue(`Together ${n}`);
    }
  });
  await until("all of them are there", async () => (await stored("APP", "i.title LIKE 'Together%'")).length === 8);
  const { rows } = await db.query("SELECT number FROM issues i JOIN projects p ON p._id = project AND key = 'APP'");
  assert.equal(new Set(rows.map(({ number }) => number)).size, rows.length);
});

test("a change of an issue is shown in lists, in details and in its history", async () => {
  await everyPage((page) => page.page.getByRole("link", { name: "Website" }).click());
  await everyPage((page) => page.openIssue("Shown at once"));
  await ada.choose("Status", "In progress");
  await ada.choose("Assignee", "Grace Hopper");
  await until("Grace sees it", async () => (await grace.chosen("Status")) === "In progress" && (await grace.chosen("Assignee")) === "Grace Hopper");
  const history = grace.page.getByRole("list", { name: "History" });
  await history.getByText("Ada Lovelace assigned it to Grace Hopper").waitFor();
  await history.getByText("Ada Lovelace moved it from Open to In progress").waitFor();
  await grace.filter("Mine");
  await until("it is Grace's", async () => (await grace.issues()).includes("WEB-15: Shown at once"));
  assert.deepEqual(
    await grace.issues(),
    await stored("WEB", "i.assignee = (SELECT _id FROM members WHERE name = 'Grace Hopper')"),
  );
});

test("SQL changes it: it leaves the list that it no longer fits", async () => {
  await grace.filter("In progress");
  await until("it is in progress", async () => (await grace.issues()).includes("WEB-15: Shown at once"));
  await db.query("UPDATE issues SET status = 'done', title = 'Done by SQL' WHERE title = 'Shown at once'");
  await until("it is gone", async () => !(await grace.issues()).some((name) => name.startsWith("WEB-15")));
  await until("the details say so", async () => (await grace.chosen("Status")) === "Done");
  assert.equal(await grace.page.getByRole("textbox", { name: "Title", exact: true }).inputValue(), "Done by SQL");
  assert.deepEqual(await grace.issues(), await stored("WEB", "i.status = 'doing'"));
});

test("comments: shown at once, a page at a time, by SQL too", async () => {
  await ada.comment("From Ada");
  await everyPage((page) => until("it is shown", async () => (await page.comments())[0] === "From Ada"));
  const issue = "(SELECT _id FROM issues WHERE title = 'Done by SQL')";
  await db.query(`INSERT INTO comments (issue, body) SELECT ${issue}, 'Comment ' || n FROM generate_series(1, 12) AS n`);
  // What was loaded stays loaded, so the one page has grown.
  await everyPage((page) => until("all are shown", async () => (await page.comments()).length === 13));
  await ada.page.reload();
  await until("the first page is shown", async () => (await ada.comments()).length === 10);
  await ada.loadMore("comments");
  await until("all are shown", async () => (await ada.comments()).length === 13);
  assert.deepEqual(await ada.comments(), await grace.comments());
  assert.deepEqual([(await ada.comments())[0], (await ada.comments())[12]], ["Comment 12", "From Ada"]);
});

test("a project whose key is taken is refused with the reason", async () => {
  await ada.page.getByRole("textbox", { name: "New project's key" }).fill("web");
  await ada.page.getByRole("textbox", { name: "New project's name" }).fill("Another");
  await ada.page.getByRole("button", { name: "Create project" }).click();
  await ada.page.getByRole("alert").filter({ hasText: "Website has the key WEB already." }).waitFor();
});

test("no page had an uncaught exception", async () => {
  assert.deepEqual(pages.flatMap(({ failures }) => failures), []);
});
