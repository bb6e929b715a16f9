// One function per shape of a stack trace.
import { queryGeneric } from "convex/server";
import { ConvexError, type Value } from "convex/values";
import { fail } from "./lib/deep";

declare const Convex: { asyncSyscall(op: string, args: string): Promise<string> };

const query = (handler: () => unknown) => queryGeneric({ args: {}, handler: async () => await handler() });
const later = () => Convex.asyncSyscall("later", "{}");

function outer(): never {
  return inner({ deep: true });
}

function inner(options: { deep: boolean }): never {
  throw new TypeError(`inner ${options.deep}`);
}

class Account {
  constructor(private readonly owner: string) {}

  static open(): Account {
    throw new RangeError("not open");
  }

  withdraw(amount: number): void {
    throw new Error(`${this.owner} has less than ${amount}`);
  }

  get balance(): number {
    throw new Error("no balance");
  }
}

async function afterWaiting(): Promise<void> {
  await later();
  await nested();
}

async function nested(): Promise<void> {
  await later();
  throw new Error("after two waits");
}

export const sync = query(() => outer());

export const asynchronous = query(() => afterWaiting());

export const method = query(() => new Account("Ada").withdraw(7));

export const staticMethod = query(() => Account.open());

export const getter = query(() => new Account("Ada").balance);

export const anonymous = query(() => [1].map(() => (() => fail("anonymous"))()));

export const chunk = query(() => fail("chunk"));

export const convexError = query(() => {
  throw new ConvexError({ code: 7, why: "because" } as Value);
});

export const convexErrorText = query(() => {
  throw new ConvexError("plain");
});

export const thrownText = query(() => {
  throw "just a text";
});

export const thrownObject = query(() => {
  throw { code: 7 };
});

export const thrownNothing = query(() => {
  throw undefined;
});

export const noMessage = query(() => {
  throw new Error();
});

export const named = query(() => {
  throw Object.assign(new Error("mine"), { name: "CustomError" });
});

export const manyLines = query(() => {
  throw new Error("first line\n    at nowhere (x:1:1)\nlast line");
});

export const cause = query(() => {
  throw new Error("outside", { cause: new Error("inside") });
});

export const nestedCall = query(async () => {
  await Convex.asyncSyscall("nested", "{}");
});

export const unhandled = query(async () => {
  void Promise.reject(new Error("nobody waits"));
  await later();
});

export const overflow = query(() => {
  const again = (n: number): number => again(n + 1) + 1;
  return again(0);
});
