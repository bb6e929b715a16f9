// A peer for LANGUAGE js: PL/Python, and PL/Python with mini-racer, PyPI's package of V8.
import { chmod, cp, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addPythonPackage, addServerPackage } from "./install.mjs";

const MINI_RACER = "mini-racer==0.14.1";

/** Installs the peer; resolves to the folder of its Python packages. */
export async function installPython() {
  await addServerPackage("postgresql-plpython3-15");
  return addPythonPackage(MINI_RACER);
}

/** A copy of the packages that the account of the server can read, wherever the project is; who asks for it removes it. */
export async function packagesForServer() {
  const folder = await mkdtemp(join(tmpdir(), "pg-live-python-"));
  await chmod(folder, 0o755);
  await cp(await installPython(), folder, { recursive: true });
  return folder;
}

/** An empty function in PL/Python, and one that calls one of mini-racer, whose context it keeps. */
export const pythonFunctions = (schema, packages) => `
  CREATE EXTENSION plpython3u;
  CREATE FUNCTION ${schema}.plpython_empty(i int) RETURNS int LANGUAGE plpython3u AS 'return i';
  CREATE FUNCTION ${schema}.py_empty(i int) RETURNS int LANGUAGE plpython3u AS $$
if "context" not in GD:
    import sys
    sys.path.insert(0, "${packages}")
    from py_mini_racer import MiniRacer
    GD["context"] = MiniRacer()
    GD["context"].eval("function f(i) { return i }")
return int(GD["context"].call("f", i))
$$;`;
