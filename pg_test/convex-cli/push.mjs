// Pushes as the command line sends them, without it: for apps that are made here.
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { build } from "esbuild";

const MODULES = join(dirname(dirname(fileURLToPath(import.meta.url))), "node_modules");
const brotli = promisify(brotliCompress);

/** Code that is about as long as this many bytes and does nothing much. */
function filler(name, bytes) {
  const lines = [];
  for (let n = 0, length = 0; length < bytes; n++) {
    const line = `export function ${name}_${n}(a, b) { return a > ${n} ? [a, b, "${name} ${n}"] : { left: a + ${n}, right: b * ${n % 7} }; }`;
    lines.push(line);
    length += line.length + 1;
  }
  return lines.join("\n");
}

/**
 * An app of so many modules with five queries each, bundled as the command line does: its modules, all together about
 * `bytes` long. `version` is what the queries return.
 */
export async function largeApp({ modules, bytes, version }) {
  const dir = await mkdtemp(join(tmpdir(), "pg-live-large-"));
  await mkdir(join(dir, "convex"));
  await symlink(MODULES, join(dir, "node_modules"));
  const entryPoints = [];
  for (let n = 0; n < modules; n++) {
    const queries = [0, 1, 2, 3, 4].map(
      (q) => `export const q${q} = query({ args: {}, handler: async (ctx) =>
        [${JSON.stringify(version)}, (await ctx.db.query("notes").take(${q + 1})).length] });`,
    );
    const text = `import { queryGeneric as query } from "convex/server";\n${queries.join("\n")}\n`;
    entryPoints.push(join(dir, "convex", `m${n}.js`));
    await writeFile(entryPoints[n], text + filler(`f${n}`, bytes / modules));
  }
  const { outputFiles } = await build({
    absWorkingDir: dir, entryPoints, outdir: join(dir, "out"), outbase: join(dir, "convex"), write: false,
    bundle: true, format: "esm", target: "esnext", platform: "browser", splitting: true, chunkNames: "_deps/[hash]",
    conditions: ["convex", "module"], sourcemap: "external", sourcesContent: false,
  });
  await rm(dir, { recursive: true, force: true });
  const text = new Map(outputFiles.map((file) => [relative(join(dir, "out"), file.path), file.text]));
  return [...text.keys()]
    .filter((path) => !path.endsWith(".map"))
    .map((path) => ({ path, source: text.get(path), sourceMap: text.get(`${path}.map`), environment: "isolate" }));
}

/** Sends a push; resolves to the milliseconds that each request took, as it is seen here. */
export async function push({ url, key }, modules) {
  const times = {};
  async function send(path, body, compress) {
    const text = JSON.stringify({ adminKey: key, ...body });
    const params = { [constants.BROTLI_PARAM_QUALITY]: 4 };
    const payload = compress ? await brotli(text, { params }) : text;
    const begun = performance.now();
    const response = await fetch(`${url}/api/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(compress ? { "Content-Encoding": "br" } : {}) },
      body: payload,
    });
    const answer = await response.json();
    times[path] = performance.now() - begun;
    if (!response.ok) {
      throw new Error(`${path}: ${response.status} ${answer.code}: ${answer.message}`);
    }
    return answer;
  }
  const startPush = await send("deploy2/start_push", {
    dryRun: false,
    functions: "convex/",
    nodeDependencies: [],
    appDefinition: {
      definition: null, dependencies: [], schema: null, changedModules: modules, unchangedModuleHashes: [],
      udfServerVersion: "1.48.0",
    },
    componentDefinitions: [],
  }, true);
  for (;;) {
    const { schemaChange } = startPush;
    const status = await send("deploy2/wait_for_schema", { schemaChange, timeoutMs: 10_000, dryRun: false }, false);
    if (status.type === "complete") break;
    if (status.type !== "inProgress") throw new Error(JSON.stringify(status));
  }
  await send("deploy2/finish_push", { startPush, dryRun: false, message: null }, true);
  return times;
}
