import { query } from "./_generated/server";

/** The module keeps no state: one context serves many calls. */
export const experimental_reuseContext = true;

/** What a call costs in a context that has served others. */
export const empty = query({ args: {}, handler: async () => null });
