// Bundles convex/ into bundle/ with the settings of the package's CLI, by the esbuild of pg_test. The results are
// in git: the tests need no npm.
import { rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const packages = join(here, "../..");
const { build } = createRequire(join(packages, "package.json"))("esbuild");

await rm(join(here, "bundle"), { recursive: true, force: true });
await build({
  absWorkingDir: here,
  entryPoints: ["convex/stacks.ts", "convex/other.ts", "convex/broken_import.ts"],
  outdir: "bundle",
  bundle: true,
  format: "esm",
  target: "esnext",
  platform: "browser",
  conditions: ["convex", "module"],
  preserveSymlinks: true,
  splitting: true,
  minifySyntax: true,
  minifyIdentifiers: true,
  keepNames: true,
  define: { "process.env.NODE_ENV": '"production"' },
  sourcemap: "external",
  sourcesContent: false,
  chunkNames: "_deps/[hash]",
});
