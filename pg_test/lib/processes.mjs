// Which process is it? Read from /proc, so that the tests need no tool that a bare machine lacks.
import { execFile } from "node:child_process";
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A TCP port of 127.0.0.1 that nothing listened on a moment ago. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
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

export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Runs a program as the user that owns `path`, which may be another one only if we are root. */
export async function runAsOwnerOf(path, program, args, options = {}) {
  const { uid, gid } = await stat(path);
  const identity = process.getuid() === 0 ? { uid, gid } : {};
  return await run(program, args, { ...options, ...identity });
}

/** Runs a program; resolves to its exit code and output, whatever the code. */
export function outcomeOf(program, args, options = {}) {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 120_000, ...options }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal), stdout, stderr });
    });
  });
}
