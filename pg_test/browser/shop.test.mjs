// Two customers of the shop example: a stock that is never sold twice, and plain SQL beside the app.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Shop } from "../lib/shop.mjs";
import { until } from "../lib/wait.mjs";

/** @type {Shop} */ let shop;
let db;
let ada;
let grace;
let pages;

before(async () => {
  shop = await Shop.start();
  db = shop.server.sql();
  ada = await shop.open("Ada");
  grace = await shop.open("Grace", { colorScheme: "dark" });
  pages = [ada, grace];
  await Promise.all(pages.map((page) => page.connectionIs("Live")));
});

after(async () => {
  await shop?.stop();
});

const everyPage = (action) => Promise.all(pages.map(action));

const stockIs = (name, text) =>
  everyPage((page) => until(`${name} has "${text}"`, async () => (await page.stock(name)) === text));

/** What the database has of a product. */
async function stored(name) {
  const { rows } = await db.query("SELECT stock, price FROM products WHERE name = $1", [name]);
  return rows[0];
}

test("an empty shop offers sample products", async () => {
  await ada.page.getByRole("button", { name: "Add sample products" }).click();
  await everyPage((page) => page.product("Teapot").waitFor());
  await stockIs("Teapot", "Only 3 left");
  await stockIs("Storage jar", "Sold out");
});

test("psql puts a product on the shelf, changes its price and takes it away", async () => {
  await db.query("INSERT INTO products (sku, name, about, price, stock) VALUES ('SPO-01', 'Spoon', 'By SQL', 250, 7)");
  await stockIs("Spoon", "7 in stock");
  await db.query("UPDATE products SET price = 275 WHERE sku = 'SPO-01'");
  await everyPage((page) => page.product("Spoon").getByText("€2.75").waitFor());
  await db.query("DELETE FROM products WHERE sku = 'SPO-01'");
  await everyPage((page) => page.product("Spoon").waitFor({ state: "detached" }));
});

test("an order is shown, and the stock is less, before the server has it; once only after", async () => {
  await ada.add("Assam tea");
  await ada.add("Assam tea");
  const holder = await db.connect();
  try {
    await holder.query("BEGIN; SELECT FROM products WHERE sku = 'TEA-01' FOR UPDATE");
    await ada.placeOrder();
    await ada.ordersOf("Ada", { pending: true }).waitFor();
    assert.equal(await ada.stock("Assam tea"), "22 in stock");
    assert.equal(await grace.stock("Assam tea"), "24 in stock");
  } finally {
    await holder.query("ROLLBACK");
    holder.release();
  }
  await everyPage((page) => page.ordersOf("Ada").waitFor());
  await stockIs("Assam tea", "22 in stock");
  await grace.ordersOf("Ada").getByText("2 × Assam tea").waitFor();
  await grace.ordersOf("Ada").getByText("€17.80").waitFor();
  assert.deepEqual(await ada.orders(), ["Ada: Placed"]);
});

test("the last one is sold once, to whoever is first; the other one is told, and keeps the basket", async () => {
  await everyPage((page) => page.add("Hand grinder"));
  await everyPage((page) => page.placeOrder());
  await stockIs("Hand grinder", "Sold out");
  const refused = (page) => page.page.getByRole("alert").filter({ hasText: "Hand grinder: sold out." });
  await until("one of them is refused", async () => (await refused(ada).count()) + (await refused(grace).count()) === 1);
  const { rows } = await db.query("SELECT count(*)::int AS n FROM lines WHERE product = (SELECT _id FROM products WHERE sku = 'GRI-01')");
  assert.deepEqual([rows[0].n, (await stored("Hand grinder")).stock], [1, 0]);
  await everyPage((page) => until("two orders are shown", async () => (await page.orders()).length === 2));
});

test("a refused order leaves nothing behind, though some of it was there", async () => {
  const customer = await shop.open("Barbara");
  await customer.connectionIs("Live");
  await customer.add("Enamel mug");
  await customer.add("Kettle");
  await customer.page.context().setOffline(true);
  await db.query("UPDATE products SET stock = 0 WHERE sku = 'KET-01'");
  await customer.placeOrder();
  await customer.ordersOf("Barbara", { pending: true }).waitFor();
  await customer.page.context().setOffline(false);
  await customer.page.getByRole("alert").filter({ hasText: "Kettle: sold out." }).waitFor({ timeout: 60_000 });
  await until("its order is gone", async () => (await customer.ordersOf("Barbara", { pending: true }).count()) === 0);
  assert.equal((await stored("Enamel mug")).stock, 8);
  const { rows } = await db.query("SELECT count(*)::int AS n FROM orders WHERE customer = 'Barbara'");
  assert.equal(rows[0].n, 0);
  await customer.page.context().close();
});

test("a rule that SQL adds holds for functions and for SQL", async () => {
  await assert.rejects(db.query("UPDATE products SET stock = -1 WHERE sku = 'TEA-01'"), /stock_is_not_negative/);
  await assert.rejects(db.query("UPDATE products SET name = NULL WHERE sku = 'TEA-01'"), /missing the required field `name`/);
});

test("the warehouse ships by plain SQL, with a foreign key; the page shows it", async () => {
  const { rows } = await db.query("SELECT _id FROM orders WHERE customer = 'Ada' ORDER BY \"_creationTime\" LIMIT 1");
  await db.query("INSERT INTO shipments (order_id, carrier) VALUES ($1, 'Pigeon post')", [rows[0]._id]);
  await everyPage((page) => page.ordersOf("Ada").getByText("Shipped").waitFor());
  await assert.rejects(db.query("INSERT INTO shipments (order_id, carrier) VALUES ('nothing', 'x')"), /is not waiting/);
  await assert.rejects(db.query("DELETE FROM orders WHERE _id = $1", [rows[0]._id]), /foreign key/);
  await ada.showOrders("Shipped");
  await until("one is shipped", async () => (await ada.orders()).join() === "Ada: Shipped");
  await ada.showOrders("All");
});

test("cancelling puts what was ordered back", async () => {
  const customer = await shop.open("Edgar");
  await customer.add("Espresso beans");
  await customer.placeOrder();
  await stockIs("Espresso beans", "11 in stock");
  await ada.page.getByRole("button", { name: "Cancel the order of Edgar" }).click();
  await stockIs("Espresso beans", "12 in stock");
  await customer.ordersOf("Edgar").getByText("Cancelled").waitFor();
  await customer.page.context().close();
});

test("the report of SQL counts what functions sold", async () => {
  const { rows } = await db.query("SELECT name, sold, revenue FROM best_sellers");
  assert.deepEqual(rows[0], { name: "Assam tea", sold: 2, revenue: "17.80" });
  assert.ok(!rows.some(({ name }) => name === "Espresso beans"));
});

test("loaded pages of orders stay whole while orders come in", async () => {
  await db.query(
    `WITH placed AS (
       INSERT INTO orders (customer, status, total)
       SELECT 'Customer ' || n, 'placed', 890 FROM generate_series(1, 20) AS n RETURNING _id)
     INSERT INTO lines ("order", product, quantity, price)
     SELECT placed._id, p._id, 1, p.price FROM placed, products p WHERE p.sku = 'TEA-01'`,
  );
  const reader = await shop.open("Reader");
  const right = async () => {
    const { rows } = await db.query('SELECT customer, initcap(status) AS status FROM orders ORDER BY "_creationTime" DESC, _id DESC');
    return rows.map(({ customer, status }) => `${customer}: ${status}`);
  };
  const more = reader.page.getByRole("button", { name: "Load more orders" });
  await until("the first page is shown", async () => (await reader.orders()).length === 8);
  await more.click();
  await reader.add("Teapot");
  await reader.placeOrder();
  await db.query("DELETE FROM lines USING orders o WHERE \"order\" = o._id AND o.customer = 'Customer 12'");
  await db.query("DELETE FROM orders WHERE customer = 'Customer 12'");
  await until("the newest sixteen or more are shown", async () => {
    const [shown, all] = [await reader.orders(), await right()];
    return shown.length >= 16 && all[0] === "Reader: Placed" && shown.every((order, index) => order === all[index]);
  });
  await more.click();
  await until("all are shown", async () => (await reader.orders()).join() === (await right()).join());
  await reader.page.context().close();
});

test("what is in stock and what was sold is what there was", async () => {
  const { rows } = await db.query(
    `SELECT p.sku, p.stock + coalesce(sum(l.quantity) FILTER (WHERE o.status <> 'cancelled' AND o.customer NOT LIKE 'Customer %'), 0) AS all
       FROM products p LEFT JOIN lines l ON l.product = p._id LEFT JOIN orders o ON o._id = l."order"
      GROUP BY p._id, p.sku, p.stock ORDER BY p.sku`,
  );
  const total = Object.fromEntries(rows.map(({ sku, all }) => [sku, all]));
  assert.deepEqual(total, {
    "COF-01": 12, "FIL-01": 60, "GRI-01": 1, "JAR-01": 0, "KET-01": 0, "MUG-01": 8, "POT-01": 3, "TEA-01": 24,
  });
});

test("no page had an uncaught exception", async () => {
  assert.deepEqual(pages.flatMap(({ failures }) => failures), []);
});
