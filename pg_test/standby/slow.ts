import { query } from "./_generated/server";

const VERSION = 1;

export const version = query({ args: {}, handler: async () => VERSION });

/** Reads all accounts, works for a while, and reads them again: the two must agree. */
export const total = query({
  args: {},
  handler: async (ctx) => {
    const sum = async () => (await ctx.db.query("accounts").collect()).reduce((total, { balance }) => total + balance, 0);
    const first = await sum();
    let state = 1;
    for (let n = 0; n < 60_000_000; n += 1) {
      state = (state * 1103515245 + 12345) & 0x7fffffff;
    }
    const second = await sum();
    if (first !== second || state < 0) {
      throw new Error(`${first} is not ${second}`);
    }
    return second;
  },
});
