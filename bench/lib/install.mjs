// What peers need beside the bench's own packages. Each is installed when its part runs, and only once.
import { execFile } from "node:child_process";
import { access, copyFile, cp, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const say = (text) => console.error(`==> ${text}`);

/** Whether there is such a file. */
export const exists = (path) => access(path).then(() => true, () => false);

/** Where builds go. */
export const target = () => process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../target", import.meta.url));

/** Copies what a folder holds into one of the same layout. */
async function add(from, into) {
  await mkdir(into, { recursive: true });
  for (const name of await readdir(from)) {
    if (!(await exists(join(into, name)))) {
      await cp(join(from, name), join(into, name), { recursive: true });
    }
  }
}

/** Puts the files of a Debian package of Postgres into the private tree of the server; nothing is installed. */
export async function addServerPackage(name) {
  const folder = join(target(), "bench-packages", name);
  if (!(await exists(join(folder, "deb")))) {
    await mkdir(folder, { recursive: true });
    say(`${name}: fetching the Debian package, for the private copy of the server`);
    try {
      await run("apt-get", ["download", name], { cwd: folder });
    } catch {
      await run("apt-get", ["update", "-q"]); // A machine that has no lists yet.
      await run("apt-get", ["download", name], { cwd: folder });
    }
    const archive = (await readdir(folder)).find((file) => file.startsWith(`${name}_`));
    await run("dpkg", ["-x", archive, "deb"], { cwd: folder });
  }
  for (const part of ["usr/lib/postgresql/15/lib", "usr/share/postgresql/15/extension"]) {
    if (await exists(join(folder, "deb", part))) {
      await add(join(folder, "deb", part), join(target(), "server", part));
    }
  }
}

/** A package of PyPI; resolves to the folder to look for it in. */
export async function addPythonPackage(requirement) {
  const folder = join(target(), "bench-packages", "python");
  const packages = join(folder, requirement);
  if (!(await exists(packages))) {
    say(`${requirement}: installing from PyPI`);
    await run("python3", ["-m", "venv", join(folder, "venv")]);
    await run(join(folder, "venv/bin/pip"), ["install", "--quiet", "--target", packages, requirement]);
  }
  return packages;
}

const text = (path) => readFile(path, "utf8").catch(() => "");

/** The npm packages of a peer, as its lock file says. */
export async function installPeer(name) {
  const folder = fileURLToPath(new URL(`../peers/${name}`, import.meta.url));
  const [lock, done] = [join(folder, "package-lock.json"), join(folder, "node_modules/.installed-lock")];
  if ((await text(lock)) !== (await text(done))) {
    say(`${name}: installing its npm packages`);
    await run("npm", ["ci", "--no-audit", "--no-fund"], { cwd: folder });
    await run("npm", ["rebuild"], { cwd: folder }); // Newer versions of npm leave out what packages do at their installation.
    await copyFile(lock, done);
  }
  const { dependencies } = JSON.parse(await text(join(folder, "package.json")));
  return dependencies;
}
