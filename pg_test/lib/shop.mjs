// The shop example, and what its customers see and do.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Example, ReaderPage } from "./example.mjs";

export class Shop extends Example {
  /** With what its sql/shop.sql puts beside the app's tables. */
  static async start() {
    const shop = await super.start("shop");
    try {
      await shop.server.sql({ max: 1 }).query(await readFile(join(shop.folder, "sql/shop.sql"), "utf8"));
    } catch (error) {
      await shop.stop();
      throw error;
    }
    return shop;
  }

  /** A page of its own (own storage, as of another customer), under a name. */
  async open(name, options) {
    return new ShopPage(await this.openPage({ "pg-live-shop.customer": name }, options));
  }
}

/** What a customer sees and does, found by role and name. */
export class ShopPage extends ReaderPage {
  product(name) {
    return this.page.getByRole("list", { name: "Products" }).getByRole("listitem", { name, exact: true });
  }

  /** What the card of a product says about its stock. */
  async stock(name) {
    return await this.product(name).locator(".stock").textContent();
  }

  async add(name) {
    await this.page.getByRole("button", { name: `Add ${name} to the basket` }).click();
  }

  async restock(name) {
    await this.page.getByRole("button", { name: `Restock ${name}` }).click();
  }

  async placeOrder() {
    await this.page.getByRole("button", { name: /^Place order/ }).click();
  }

  get orderList() {
    return this.page.getByRole("list", { name: "Orders" });
  }

  /** The orders as texts "customer: status", newest first, as far as they are loaded. */
  async orders() {
    return await this.orderList
      .getByRole("listitem")
      .evaluateAll((items) =>
        items.map((item) => `${item.querySelector("strong").textContent}: ${item.querySelector(".chip").textContent}`),
      );
  }

  /** The orders of a customer; `pending`: shown before the server has them. */
  ordersOf(customer, { pending = false } = {}) {
    const orders = this.orderList.getByRole("listitem", { name: `Order of ${customer}`, exact: true });
    return orders.and(this.page.locator(pending ? ".pending" : ":not(.pending)"));
  }

  async showOrders(label) {
    await this.page.getByRole("combobox", { name: "Show orders" }).selectOption({ label });
  }
}
