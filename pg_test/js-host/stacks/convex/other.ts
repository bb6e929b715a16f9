import { queryGeneric } from "convex/server";
import { fail } from "./lib/deep";

export const f = queryGeneric({ args: {}, handler: () => fail("other") });
