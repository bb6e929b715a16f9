// The chat example, and what its readers see and do.
import { Example, ReaderPage } from "./example.mjs";

/** The whole example: its database and relay, its page, and a browser to open it in. */
export class Chat extends Example {
  static async start() {
    return await super.start("chat");
  }

  /** A page of its own (own storage, as of another reader), under a name. */
  async open(author, options) {
    return new ChatPage(await this.openPage({ "pg-live-chat.author": author }, options));
  }
}

/** What a reader sees and does, found by role and name. */
export class ChatPage extends ReaderPage {
  /** The bodies of the messages, oldest first. */
  async messages() {
    return await this.page.getByRole("log").locator(".bubble").allTextContents();
  }

  async send(body) {
    const field = this.page.getByRole("textbox", { name: /^Message #/ });
    await field.fill(body);
    await field.press("Enter");
  }

  /** Waits until a message of this text is shown, and is no longer only this page's own hope. */
  async shows(body, timeout = 15_000) {
    const message = this.page.getByRole("listitem").filter({ hasText: body }).and(this.page.locator("li:not(.pending)"));
    await message.last().waitFor({ timeout });
  }

  async doesNotShow(body, timeout = 15_000) {
    await this.page.getByText(body, { exact: true }).waitFor({ state: "detached", timeout });
  }

  async deleteOwn(body) {
    await this.page.getByText(body, { exact: true }).hover();
    await this.page.getByRole("button", { name: `Delete message: ${body}` }).click();
  }

  async createChannel(name) {
    await this.page.getByRole("textbox", { name: "New channel's name" }).fill(name);
    await this.page.getByRole("button", { name: "Create channel" }).click();
  }

  async openChannel(name) {
    await this.page.getByRole("navigation", { name: "Channels" }).getByRole("button", { name, exact: true }).click();
  }

  async heading() {
    return (await this.page.getByRole("heading", { level: 1 }).textContent()).replace("#", "").trim();
  }
}
