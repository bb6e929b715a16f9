// A peer for LANGUAGE js: PL/Python with mini-racer, PyPI's package of V8. Installed into the target folder, beside the
// private server tree, when it is not there.
import { execFile } from "node:child_process";
import { access, mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const MINI_RACER = "mini-racer==0.14.1";
const PACKAGE = "postgresql-plpython3-15";

const run = promisify(execFile);
const exists = (path) => access(path).then(() => true, () => false);
const target = () => process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../target", import.meta.url));

/** Links what the folder holds into the tree, which has the same layout. */
async function link(from, into) {
  await mkdir(into, { recursive: true });
  for (const name of await readdir(from)) {
    if (!(await exists(join(into, name)))) await symlink(join(from, name), join(into, name));
  }
}

/** Installs the peer; resolves to the folder of its Python packages. */
export async function installPython() {
  const folder = join(target(), "bench-python");
  const packages = join(folder, "packages");
  if (!(await exists(packages))) {
    await mkdir(folder, { recursive: true });
    await run("apt-get", ["download", PACKAGE], { cwd: folder });
    const archive = (await readdir(folder)).find((name) => name.startsWith(PACKAGE));
    await run("dpkg", ["-x", archive, "deb"], { cwd: folder });
    await run("python3", ["-m", "pip", "install", "--quiet", "--target", packages, MINI_RACER]);
  }
  const tree = join(target(), "server");
  for (const part of ["usr/lib/postgresql/15/lib", "usr/share/postgresql/15/extension"]) {
    await link(join(folder, "deb", part), join(tree, part));
  }
  return packages;
}

/** A function in PL/Python that calls one of mini-racer, whose context it keeps. */
export const miniRacer = (schema, packages) => `
  CREATE EXTENSION plpython3u;
  CREATE FUNCTION ${schema}.py_empty(i int) RETURNS int LANGUAGE plpython3u AS $$
if "context" not in GD:
    import sys
    sys.path.insert(0, "${packages}")
    from py_mini_racer import MiniRacer
    GD["context"] = MiniRacer()
    GD["context"].eval("function f(i) { return i }")
return int(GD["context"].call("f", i))
$$;`;
