// A shell whose folder and variables carry over from block to block, and programs in the background.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A block that takes longer has failed. */
const PATIENCE = 300_000;

export class Shell {
  #children = [];

  constructor(dir, env) {
    this.dir = dir;
    this.env = env;
    /** What programs in the background have printed. */
    this.printed = "";
  }

  static async start(cwd, env, prelude = "") {
    const dir = await mkdtemp(join(tmpdir(), "pg-live-guide-"));
    await writeFile(join(dir, "prelude"), prelude);
    await writeFile(join(dir, "state"), `cd '${cwd}'\n`);
    return new Shell(dir, env);
  }

  #script(text) {
    return `set -euo pipefail
. '${this.dir}/prelude'
. '${this.dir}/state'
carry() { { declare -px; printf 'cd %q\\n' "$PWD"; } > '${this.dir}/state.new'; mv '${this.dir}/state.new' '${this.dir}/state'; }
trap 'code=$?; carry; exit $code' EXIT
${text}
`;
  }

  /** Runs a block to its end; resolves to its exit code and all that it printed. */
  run(text) {
    return new Promise((resolve) => {
      const child = spawn("bash", ["-c", this.#script(text)], { env: this.env, stdio: ["ignore", "pipe", "pipe"] });
      let output = "";
      const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (data) => (output += data));
      }
      // A program that the block left in the background may hold the output open.
      child.on("exit", (code, signal) => {
        clearTimeout(timer);
        setTimeout(() => resolve({ code: code ?? signal, output }), 50);
      });
    });
  }

  /** Starts a block that runs on. */
  start(text) {
    const child = spawn("bash", ["-c", `. '${this.dir}/prelude'; . '${this.dir}/state'; exec ${text}`], {
      env: this.env, stdio: ["ignore", "pipe", "pipe"], detached: true,
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data) => (this.printed += data));
    }
    child.on("exit", (code) => (this.printed += `\n(ended with ${code})\n`));
    this.#children.push(child);
  }

  /** Ends what runs in the background. */
  async stop() {
    for (const child of this.#children.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once("exit", resolve));
        process.kill(-child.pid, "SIGTERM");
        const kill = setTimeout(() => process.kill(-child.pid, "SIGKILL"), 20_000);
        await ended;
        clearTimeout(kill);
      }
    }
  }

  async remove() {
    await this.stop();
    await rm(this.dir, { recursive: true, force: true });
  }
}
