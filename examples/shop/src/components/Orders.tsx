import { usePaginatedQuery } from "convex/react";
import { useState } from "react";
import { api } from "../../convex/_generated/api";
import { PAGE, type Status } from "../lib/mutations";
import { OrderCard, STATUSES } from "./OrderCard";

/** The orders of everybody, newest first, a page at a time. */
export function Orders() {
  const [status, setStatus] = useState<Status>();
  const args = status === undefined ? {} : { status };
  const orders = usePaginatedQuery(api.orders.list, args, { initialNumItems: PAGE });

  return (
    <section className="orders" aria-label="Orders">
      <div className="orders-head">
        <h2>Orders</h2>
        <select
          aria-label="Show orders"
          value={status ?? ""}
          onChange={(event) => setStatus((event.target.value as Status) || undefined)}
        >
          <option value="">All</option>
          {Object.entries(STATUSES).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </div>
      {orders.status === "Exhausted" && orders.results.length === 0 && <p className="nothing">None yet.</p>}
      <ol aria-label="Orders" aria-busy={orders.status === "LoadingFirstPage"}>
        {orders.results.map((order) => (
          <OrderCard key={order._id} order={order} />
        ))}
      </ol>
      {orders.status !== "Exhausted" && (
        <button
          type="button"
          className="load-more"
          disabled={orders.status !== "CanLoadMore"}
          onClick={() => orders.loadMore(PAGE)}
        >
          {orders.status === "CanLoadMore" ? "Load more orders" : "Loading…"}
        </button>
      )}
    </section>
  );
}
