// The mutations, each with what it changes on the page before the server has answered.
import type { OptimisticLocalStore } from "convex/browser";
import { insertAtTop, optimisticallyUpdateValueInPaginatedQuery as updateItems, useMutation } from "convex/react";
import type { FunctionReturnType } from "convex/server";
import { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";

export type Order = FunctionReturnType<typeof api.orders.list>["page"][number];
export type Status = Order["status"];

/** How many orders come at first and with each "Load more". */
export const PAGE = 8;

const PENDING = "pending-";

export const isPending = (id: string): boolean => id.startsWith(PENDING);

/** Places an order: it stands on top at once, and the shelves have less. */
export function usePlaceOrder() {
  return useMutation(api.orders.place).withOptimisticUpdate((store, { customer, items }) => {
    const products = store.getQuery(api.products.list, {}) ?? [];
    const ordered = items.flatMap(({ product: id, quantity }) => {
      const product = products.find(({ _id }) => _id === id);
      return product === undefined ? [] : [{ product, quantity }];
    });
    const order: Order = {
      _id: `${PENDING}${crypto.randomUUID()}` as Id<"orders">,
      _creationTime: Date.now(),
      customer,
      status: "placed",
      total: ordered.reduce((sum, { product, quantity }) => sum + product.price * BigInt(quantity), 0n),
      lines: ordered.map(({ product, quantity }) => ({ product: product.name, quantity })),
    };
    for (const argsToMatch of [{ status: undefined }, { status: "placed" as const }]) {
      insertAtTop({ paginatedQuery: api.orders.list, argsToMatch, localQueryStore: store, item: order });
    }
    for (const { product, quantity } of items) {
      addToStock(store, product, -quantity);
    }
  });
}

/** Cancels an order; the page says so at once. */
export function useCancelOrder() {
  return useMutation(api.orders.cancel).withOptimisticUpdate((store, { order }) => {
    for (const args of [{}, { status: "placed" as const }]) {
      updateItems(store, api.orders.list, args, (item) => (item._id === order ? { ...item, status: "cancelled" as const } : item));
    }
  });
}

/** Adds to the stock of a product, on the page at once. */
export function useRestock() {
  return useMutation(api.products.restock).withOptimisticUpdate((store, { product, quantity }) =>
    addToStock(store, product, quantity),
  );
}

function addToStock(store: OptimisticLocalStore, id: Id<"products">, quantity: number) {
  const products = store.getQuery(api.products.list, {});
  if (products !== undefined) {
    const changed = products.map((product) =>
      product._id === id ? { ...product, stock: Math.max(0, product.stock + quantity) } : product,
    );
    store.setQuery(api.products.list, {}, changed);
  }
}
