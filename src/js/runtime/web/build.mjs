// Bundles what the runtime takes from npm into ../bundles, where the extension's build includes it as text. The
// results are in git, so that a build needs no npm; `make lint` checks that they are what this writes. So is the
// library for deploys of plain JavaScript, from the npm package `convex` that the tests have installed.
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] === undefined ? join(here, "../bundles") : resolve(process.argv[2]);
const library = process.argv[3] === undefined ? join(here, "../../../deploy/library") : resolve(process.argv[3]);

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

/** Writes the licences of the packages that went into a bundle. */
async function writeLicences(folder, inputs) {
  const packages = new Set();
  for (const input of Object.keys(inputs)) {
    const match = /^((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match) packages.add(match[1]);
  }
  const licences = [];
  for (const place of [...packages].sort()) {
    const { name, version, license } = JSON.parse(await readFile(join(here, place, "package.json"), "utf8"));
    const files = (await readdir(join(here, place))).filter((file) => /^LICENSE/i.test(file)).sort();
    const text = await readFile(join(here, place, files[0]), "utf8");
    licences.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
  }
  await writeFile(join(folder, "LICENSES.txt"), licences.join(`\n${"-".repeat(72)}\n\n`));
}
await writeLicences(target, metafile.inputs);

// `convex/server` and `convex/values` as modules; what they share is in a third, so that a value has one class.
await rm(library, { recursive: true, force: true });
await mkdir(library, { recursive: true });
const convex = await build({
  absWorkingDir: here,
  entryPoints: { server: "convex/server", values: "convex/values" },
  nodePaths: [join(here, "../../../../pg_test/node_modules")],
  outdir: library,
  bundle: true,
  splitting: true,
  chunkNames: "shared",
  format: "esm",
  platform: "browser",
  conditions: ["convex", "module"],
  target: "esnext",
  charset: "ascii",
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  metafile: true,
});
await writeLicences(library, convex.metafile.inputs);

// `convex` holds a copy of base64-js, whose notice is in its source only.
const base64 = join(here, "../../../../pg_test/node_modules/convex/src/values/base64.ts");
const notice = /^\/\*\n(?<text>.*?)\*\//s.exec(await readFile(base64, "utf8")).groups.text;
const mit = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`;
await appendFile(join(library, "LICENSES.txt"), `\n${"-".repeat(72)}\n\n${notice}\n${mit}`);
