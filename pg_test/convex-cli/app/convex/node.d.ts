// What the functions use of Node.js' types.
declare const process: { env: Record<string, string | undefined> };

declare module "node:crypto" {
  export function createHash(name: string): { update(text: string): { digest(form: "hex"): string } };
}
