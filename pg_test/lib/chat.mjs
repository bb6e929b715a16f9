// The chat example, built and served, and opened in chromium.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { outcomeOf } from "./processes.mjs";
import { Server } from "./server.mjs";

export const CHAT = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "examples/chat");

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

// Chromium's sandbox works neither for root nor in most containers, and it opens our own page only. Without the
// flags about the network it looks up hosts of its maker at every start.
const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

/** Serves the files of a folder on a free port; resolves to the server and its address. */
function serveFolder(folder) {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    try {
      const file = join(folder, path === "/" ? "index.html" : path);
      const content = await readFile(file);
      response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve([server, `http://127.0.0.1:${server.address().port}/`]));
  });
}

/** The whole example: its database and relay, its page, and a browser to open it in. */
export class Chat {
  static async start() {
    const chat = new Chat();
    try {
      chat.server = await Server.start({ source: CHAT, ownRelay: true });
      const dist = join(chat.server.root, "dist");
      const vite = join(CHAT, "node_modules/.bin/vite");
      const built = await outcomeOf(vite, ["build", "--outDir", dist, "--logLevel", "warn"], {
        cwd: CHAT,
        env: { ...process.env, VITE_CONVEX_URL: chat.server.url },
      });
      if (built.code !== 0) {
        throw new Error(`vite build ended with ${built.code}\n${built.stdout}\n${built.stderr}`);
      }
      [chat.pages, chat.url] = await serveFolder(dist);
      chat.browser = await chromium.launch({
        executablePath: CHROMIUM,
        args: CHROMIUM_FLAGS,
      });
    } catch (error) {
      await chat.stop();
      throw error;
    }
    return chat;
  }

  /** A page of its own (own storage, as of another reader), under a name. */
  async open(author, options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1200, height: 760 }, ...options });
    await context.addInitScript((name) => {
      if (localStorage.getItem("pg-live-chat.author") === null) {
        localStorage.setItem("pg-live-chat.author", name);
      }
    }, author);
    const page = await context.newPage();
    await page.goto(this.url);
    return new ChatPage(page);
  }

  async stop() {
    await this.browser?.close();
    this.pages?.closeAllConnections();
    this.pages?.close();
    await this.server?.stop();
  }
}

/** What a reader sees and does, found by role and name. */
export class ChatPage {
  /** Uncaught exceptions of the page. */
  failures = [];

  constructor(page) {
    this.page = page;
    page.on("pageerror", (error) => this.failures.push(error));
  }

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

  /** Waits until the page says that it is connected, or that it is not. */
  async connectionIs(label, timeout = 60_000) {
    await this.page.getByRole("status", { name: "Connection" }).filter({ hasText: label }).waitFor({ timeout });
  }
}
