import { useCallback, useState } from "react";
import type { Id } from "../../convex/_generated/dataModel";

/** How many of what. */
export type Basket = ReadonlyMap<Id<"products">, number>;

/** What the reader is about to order. `put` sets how many of a product; 0 takes it out. */
export function useBasket() {
  const [basket, setBasket] = useState<Basket>(new Map());
  const put = useCallback((product: Id<"products">, quantity: number) => {
    setBasket((before) => {
      const after = new Map(before);
      if (quantity > 0) {
        after.set(product, quantity);
      } else {
        after.delete(product);
      }
      return after;
    });
  }, []);
  return { basket, put, setBasket };
}
