import { readFile } from "node:fs/promises";

/** Milliseconds that a process has had a core. */
export async function cpuTime(pid) {
  return Number((await readFile(`/proc/${pid}/schedstat`, "utf8")).split(" ")[0]) / 1e6;
}
