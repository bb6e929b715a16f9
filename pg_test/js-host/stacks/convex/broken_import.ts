import { queryGeneric } from "convex/server";

function check(): void {
  throw new Error("at import");
}
check();

export const f = queryGeneric({ args: {}, handler: () => null });
