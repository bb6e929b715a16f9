// Shared by two modules, so the bundler puts it into a chunk.
export function fail(what: string): never {
  throw new Error(`deep: ${what}`);
}
