import { ConvexError } from "convex/values";

/** An error for the reader: the page shows its message. */
export function refuse(code: string, message: string): never {
  throw new ConvexError({ code, message });
}

/** Refuses what is not a whole number of at least 1. */
export function checkQuantity(quantity: number): void {
  if (!Number.isInteger(quantity) || quantity < 1 || quantity > 1000) {
    refuse("bad_quantity", "A quantity is a whole number from 1 to 1000.");
  }
}
