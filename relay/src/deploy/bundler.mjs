// Bundles an app's functions with the app's own esbuild.
//
// Reads one JSON object on stdin: {esbuild, dir, functionsDir, modules, schema, authConfig}, all paths
// absolute except the last three, which are relative to `functionsDir`.
// Writes one JSON object on stdout: {modules, schema, authConfig, warnings} or {errors}.
import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const request = JSON.parse(readFileSync(0, "utf8"));
process.chdir(request.dir);
const esbuild = (await import(pathToFileURL(request.esbuild).href)).default;

/** Replaces every import that `filter` matches by a module with fixed contents. */
function stub(name, filter, contents) {
  return {
    name,
    setup(build) {
      build.onResolve({ filter }, (args) => ({ path: args.path, namespace: name }));
      build.onLoad({ filter: /.*/, namespace: name }, () => ({ contents, loader: "js" }));
    },
  };
}

/** `import wasm from "./x.wasm"` gives a compiled module; its bytes travel inside the bundle. */
const wasm = {
  name: "wasm",
  setup(build) {
    build.onResolve({ filter: /\.wasm$/ }, (args) =>
      args.namespace === "wasm"
        ? { path: args.path, namespace: "wasm-bytes" }
        : { path: path.resolve(args.resolveDir, args.path), namespace: "wasm" },
    );
    build.onLoad({ filter: /.*/, namespace: "wasm" }, (args) => ({
      contents: `import bytes from ${JSON.stringify(args.path)};
export default new WebAssembly.Module(bytes);`,
    }));
    build.onLoad({ filter: /.*/, namespace: "wasm-bytes" }, (args) => ({
      contents: readFileSync(args.path),
      loader: "binary",
      watchFiles: [args.path],
    }));
  },
};

const plugins = [
  stub(
    "async-hooks",
    /^(node:)?async_hooks$/,
    "export const { AsyncLocalStorage, AsyncResource } = globalThis;\n" +
      "export default { AsyncLocalStorage, AsyncResource };",
  ),
  stub("server-only", /^server-only$/, ""),
  wasm,
];

async function bundle(files, splitting) {
  const result = await esbuild.build({
    entryPoints: files.map((file) => path.join(request.functionsDir, file)),
    bundle: true,
    platform: "browser",
    format: "esm",
    target: "esnext",
    jsx: "automatic",
    // Never written: source maps name their sources relative to this folder.
    outdir: "out",
    outbase: request.functionsDir,
    write: false,
    conditions: ["convex", "module"],
    splitting,
    chunkNames: "_deps/[hash]",
    treeShaking: true,
    minifySyntax: true,
    minifyIdentifiers: true,
    keepNames: true,
    sourcemap: true,
    sourcesContent: false,
    define: { "process.env.NODE_ENV": '"production"' },
    logLevel: "silent",
    plugins,
  });
  const text = new Map();
  for (const file of result.outputFiles) {
    text.set(path.relative("out", file.path).split(path.sep).join("/"), file.text);
  }
  const modules = [...text.keys()]
    .filter((name) => !name.endsWith(".map"))
    .sort()
    .map((name) => ({
      path: name,
      source: text.get(name),
      sourceMap: text.get(`${name}.map`) ?? null,
      environment: "isolate",
    }));
  return { modules, warnings: result.warnings };
}

/** The parts of esbuild's message that we show; columns count from 1. */
function message({ text, location }) {
  return {
    text,
    file: location?.file ?? null,
    line: location?.line ?? 0,
    column: (location?.column ?? 0) + 1,
    lineText: location?.lineText ?? "",
  };
}

try {
  const app = await bundle(request.modules, true);
  const alone = async (file) => (file === null ? null : await bundle([file], false));
  const schema = await alone(request.schema);
  const authConfig = await alone(request.authConfig);
  process.stdout.write(
    JSON.stringify({
      modules: app.modules,
      schema: schema?.modules[0] ?? null,
      authConfig: authConfig?.modules[0] ?? null,
      warnings: [...app.warnings, ...(schema?.warnings ?? []), ...(authConfig?.warnings ?? [])].map(message),
    }),
  );
} catch (error) {
  if (!Array.isArray(error.errors)) throw error;
  process.stdout.write(JSON.stringify({ errors: error.errors.map(message) }));
}
