// An example app, built and served, and opened in chromium.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { outcomeOf } from "./processes.mjs";
import { Server } from "./server.mjs";

/** The repository. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

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

/** Builds the page of an app for a server's address, into `target`. */
async function build(folder, target, serverUrl) {
  const vite = join(folder, "node_modules/.bin/vite");
  const { code, stdout, stderr } = await outcomeOf(vite, ["build", "--outDir", target, "--logLevel", "warn"], {
    cwd: folder,
    env: { ...process.env, VITE_CONVEX_URL: serverUrl },
  });
  if (code !== 0) {
    throw new Error(`vite build ended with ${code}\n${stdout}\n${stderr}`);
  }
}

/** A whole example: its database and relay, its page, and a browser to open it in. */
export class Example {
  /** `name`: of the folder in examples/. */
  static async start(name) {
    const example = new this();
    try {
      example.folder = join(ROOT, "examples", name);
      example.server = await Server.start({ source: example.folder, ownRelay: true });
      const dist = join(example.server.root, "dist");
      await build(example.folder, dist, example.server.url);
      [example.pages, example.url] = await serveFolder(dist);
      example.browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS });
    } catch (error) {
      await example.stop();
      throw error;
    }
    return example;
  }

  /** A page with a storage of its own, as of another reader; `storage`: what that holds before the app starts. */
  async openPage(storage, options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1200, height: 760 }, ...options });
    await context.addInitScript((entries) => {
      for (const [key, value] of entries) {
        if (localStorage.getItem(key) === null) {
          localStorage.setItem(key, value);
        }
      }
    }, Object.entries(storage));
    const page = await context.newPage();
    await page.goto(this.url);
    return page;
  }

  async stop() {
    await this.browser?.close();
    this.pages?.closeAllConnections();
    this.pages?.close();
    await this.server?.stop();
  }
}

/** A page of an example, as its reader sees it. */
export class ReaderPage {
  /** Uncaught exceptions of the page. */
  failures = [];

  constructor(page) {
    this.page = page;
    page.on("pageerror", (error) => this.failures.push(error));
  }

  /** Waits until the page says that it is connected, or that it is not. */
  async connectionIs(label, timeout = 60_000) {
    await this.page.getByRole("status", { name: "Connection" }).filter({ hasText: label }).waitFor({ timeout });
  }
}
