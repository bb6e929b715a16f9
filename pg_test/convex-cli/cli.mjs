// The real `npx convex` of the npm package, on a project of its own.
import { spawn } from "node:child_process";
import { cp, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "../lib/wait.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const MODULES = join(dirname(HERE), "node_modules");
const CLI = join(MODULES, "convex/bin/main.js");

/** A command may take so long, in milliseconds: the machine may be busy. */
const PATIENCE = 240_000;

/** Everything that colours and cursor movements put between the letters. */
// eslint-disable-next-line no-control-regex
const CONTROL = /\u001b\[[0-9;?]*[A-Za-z]|\r/g;

/** A copy of the app, with the two variables that a developer sets. */
export class Project {
  static async create(root, { url, key }, name = "project") {
    const project = new Project();
    project.dir = join(root, name);
    project.home = join(root, `${name}-home`);
    await rm(project.dir, { recursive: true, force: true });
    await mkdir(project.home, { recursive: true });
    await cp(join(HERE, "app"), project.dir, { recursive: true });
    await symlink(MODULES, join(project.dir, "node_modules"));
    project.variables = { CONVEX_SELF_HOSTED_URL: url, CONVEX_SELF_HOSTED_ADMIN_KEY: key };
    return project;
  }

  /** Nothing of the machine's own settings: no agent, no proxy, no other deployment. */
  environment(more = {}) {
    return { PATH: process.env.PATH, HOME: this.home, LANG: "C.UTF-8", ...this.variables, ...more };
  }

  /** Runs a command as CI does: no terminal. Resolves to its exit code and output. */
  async run(args, { input, env } = {}) {
    const options = { cwd: this.dir, env: this.environment({ CI: "1", ...env }), timeout: PATIENCE };
    const child = spawn(process.execPath, [CLI, ...args], options);
    child.stdin.on("error", () => {}); // It may end without having read.
    child.stdin.end(input ?? "");
    const said = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"]) {
      child[stream].setEncoding("utf8").on("data", (text) => (said[stream] += text.replace(CONTROL, "")));
    }
    const code = await new Promise((resolve) => child.once("close", (code, signal) => resolve(code ?? signal)));
    return { code, ...said };
  }

  /** The output of a command that succeeds. */
  async ok(args, options) {
    const { code, stdout, stderr } = await this.run(args, options);
    if (code !== 0) {
      throw new Error(`convex ${args.join(" ")} ended with ${code}\n${stdout}\n${stderr}`);
    }
    return { stdout: stdout.trim(), stderr };
  }

  /** All that a command says that fails. */
  async fails(args, options) {
    const { code, stdout, stderr } = await this.run(args, options);
    if (code === 0) {
      throw new Error(`convex ${args.join(" ")} succeeded\n${stdout}\n${stderr}`);
    }
    return `${stdout}\n${stderr}`;
  }

  terminal(args) {
    return new Terminal(this, args);
  }

  path(name) {
    return join(this.dir, name);
  }

  async write(name, text) {
    await writeFile(this.path(name), text);
  }

  /** Replaces a piece of a file, which must be there. */
  async edit(name, from, to) {
    const text = await readFile(this.path(name), "utf8");
    if (!text.includes(from)) {
      throw new Error(`${name} does not have ${from}`);
    }
    await this.write(name, text.replace(from, to));
  }
}

/** A command in a pseudo-terminal, made by `script` of util-linux. */
export class Terminal {
  text = "";
  #child;
  #ended;

  constructor(project, args) {
    const words = [process.execPath, CLI, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
    // The terminal must be wide: the program cuts lines to its width.
    const command = `stty cols 400 rows 50; exec ${words.join(" ")}`;
    this.#child = spawn("script", ["-q", "-e", "-f", "-c", command, "/dev/null"], {
      cwd: project.dir,
      env: project.environment({ TERM: "xterm-256color", SHELL: "/bin/sh" }),
      stdio: ["pipe", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.text += text.replace(CONTROL, "")));
    }
    this.#ended = new Promise((resolve) => this.#child.once("close", (code) => resolve(code)));
  }

  /** Resolves once it has shown something since `from`. */
  async shows(pattern, from = 0) {
    try {
      await until(`the terminal shows ${pattern}`, () => pattern.test(this.text.slice(from)), { timeout: PATIENCE });
    } catch (error) {
      error.message += `\n${this.text.slice(-3000)}`;
      this.kill(); // Else the suite would wait for it.
      throw error;
    }
  }

  /** Where its text ends now: for what is to come. */
  get mark() {
    return this.text.length;
  }

  type(text) {
    this.#child.stdin.write(text);
  }

  /** Ctrl-C; resolves to the exit code. */
  async interrupt() {
    this.type("\u0003");
    return await this.ended();
  }

  async ended() {
    return await this.#ended;
  }

  kill() {
    this.#child.kill("SIGKILL");
  }
}
