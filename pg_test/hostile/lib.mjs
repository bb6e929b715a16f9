// A database of its own for a test file, on the server that scripts/test/hostile.sh has started.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";

const FUNCTIONS = join(fileURLToPath(new URL(".", import.meta.url)), "functions");

/** An open connection; its loss fails the statement on it only. */
export async function connect(database) {
  const client = new pg.Client({ database });
  client.on("error", () => {});
  client.on("notice", () => {});
  await client.connect();
  return client;
}

/** The text of one of the modules beside this file. */
export const source = (name) => readFile(join(FUNCTIONS, name), "utf8");

/** Deploys modules, `{ path: source }`. */
export async function deploy(client, modules) {
  const deployment = {
    modules: Object.entries(modules).map(([path, source]) => ({ path, source })),
    schema: { path: "schema.js", source: await source("schema.js") },
  };
  await client.query("SELECT live.deploy($1)", [JSON.stringify(deployment)]);
}

/** A new database with the extension and these files deployed. */
export async function createDatabase(name, files) {
  const server = await connect("postgres");
  await server.query(`CREATE DATABASE ${name}`);
  await server.query(`CREATE ROLE ${name}`);
  await server.end();
  const client = await connect(name);
  await client.query("CREATE EXTENSION pg_live");
  await client.query("SELECT live.setup($1)", [name]);
  const modules = await Promise.all(files.map(async (file) => [file, await source(file)]));
  await deploy(client, Object.fromEntries(modules));
  return client;
}

/** What a function gives. */
export async function call(client, kind, path, args = {}) {
  const { rows } = await client.query(`SELECT live.${kind}($1, $2) AS value`, [path, JSON.stringify(args)]);
  return rows[0].value;
}
