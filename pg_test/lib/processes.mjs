// Which process is it? Read from /proc, so that the tests need no tool that a bare machine lacks.
import { execFile } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";
import { createServer } from "node:net";
import { until } from "./wait.mjs";

const isFree = (port) =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });

/** A TCP port of 127.0.0.1 that nothing listened on a moment ago; none of those that the system gives to connections. */
export async function freePort() {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 17_000);
    if (await isFree(port)) {
      return port;
    }
  }
}

/** The inode of the socket that listens on a TCP port, or undefined. */
async function listeningInode(port) {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  for (const file of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const lines = (await readFile(file, "utf8").catch(() => "")).split("\n").slice(1);
    for (const line of lines) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === "0A" && local?.endsWith(`:${wanted}`)) {
        return inode;
      }
    }
  }
  return undefined;
}

/** The id of the process that listens on a TCP port, or undefined. */
export async function pidListeningOn(port) {
  const inode = await listeningInode(port);
  if (inode === undefined) {
    return undefined;
  }
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
      if (target === `socket:[${inode}]`) {
        return Number(pid);
      }
    }
  }
  return undefined;
}

/** Whether a process runs; one that has ended, with all its threads, and waits to be collected by its parent does not. */
async function isAlive(pid) {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (status === undefined) {
    return false;
  }
  const state = status.slice(status.lastIndexOf(")") + 2)[0];
  return state !== "Z" || (await readdir(`/proc/${pid}/task`).catch(() => [])).length > 1;
}

/** The resident memory of a process, in bytes. */
export async function memoryOf(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024;
}

/** Sends a signal and waits until the process has ended. */
export async function killAndWait(pid, signal) {
  if (!Number.isInteger(pid)) {
    throw new Error(`there is no process to send ${signal} to`);
  }
  process.kill(pid, signal);
  await until(`process ${pid} has ended`, async () => !(await isAlive(pid)), { timeout: 60_000 });
}

/** Runs a program; resolves to its exit code and output, whatever the code. */
export function outcomeOf(program, args, options = {}) {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 120_000, ...options }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stdout, stderr });
    });
  });
}
