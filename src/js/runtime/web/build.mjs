// Bundles what the runtime takes from npm into ../bundles, where the extension's build includes it as text. The
// results are in git, so that a build needs no npm; `make lint` checks that they are what this writes.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] === undefined ? join(here, "../bundles") : resolve(process.argv[2]);

// Each becomes an expression: a function of the host's operations and what the runtime's files share.
const banner = "(function (host, shared) { \"use strict\"; const module = { exports: {} };";
const footer = "return module.exports.default(host, shared); })";

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["inspect.mjs", "streams.mjs"],
  outdir: target,
  bundle: true,
  format: "cjs",
  platform: "browser",
  target: "esnext",
  charset: "ascii",
  minify: true,
  keepNames: true,
  legalComments: "none",
  metafile: true,
  banner: { js: banner },
  footer: { js: footer },
});

// The licences of what is in them.
const packages = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const match = /^(?:.*\/)?(node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (match) packages.add(match[1]);
}
const licences = [];
for (const folder of [...packages].sort()) {
  const { name, version, license } = JSON.parse(await readFile(join(here, folder, "package.json"), "utf8"));
  const text = await readFile(join(here, folder, "LICENSE"), "utf8");
  licences.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
}
await writeFile(join(target, "LICENSES.txt"), licences.join(`\n${"-".repeat(72)}\n\n`));
