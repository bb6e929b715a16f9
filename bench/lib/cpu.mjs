import { readdir, readFile } from "node:fs/promises";

/** Milliseconds that a process with one thread has had a core. */
export async function cpuTime(pid) {
  return Number((await readFile(`/proc/${pid}/schedstat`, "utf8")).split(" ")[0]) / 1e6;
}

const TICK_MS = 10;

/** Fields of /proc/<pid>/stat from the third on: the second may hold spaces. */
async function stat(pid) {
  const text = await readFile(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

/** Milliseconds that all threads of a process have had a core, in steps of ten. */
export async function processCpu(pid) {
  const fields = await stat(pid);
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** The same of a process and its children that run now, ended ones included: a whole Postgres. */
export async function familyCpu(pid) {
  let sum = await processCpu(pid);
  const own = await stat(pid);
  sum += (Number(own[13]) + Number(own[14])) * TICK_MS;
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) {
      continue;
    }
    try {
      if (Number((await stat(name))[1]) === pid) {
        sum += await processCpu(name);
      }
    } catch {
      // It has ended meanwhile.
    }
  }
  return sum;
}

/** KiB of memory that only this process uses. */
export async function privateMemory(pid) {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)[1]);
  return kib("Private_Dirty") + kib("Private_Clean");
}
