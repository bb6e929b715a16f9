import { money } from "../lib/money";
import { isPending, type Order, type Status, useCancelOrder } from "../lib/mutations";

export const STATUSES: Record<Status, string> = { placed: "Placed", shipped: "Shipped", cancelled: "Cancelled" };

const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function OrderCard({ order }: { order: Order }) {
  const cancel = useCancelOrder();
  const { _id, _creationTime, customer, status, total, lines } = order;
  const pending = isPending(_id);
  return (
    <li className={pending ? "order pending" : "order"} aria-label={`Order of ${customer}`} data-status={status}>
      <div className="order-head">
        <strong>{customer}</strong>
        <span className="chip">{STATUSES[status]}</span>
        <span className="price">{money(total)}</span>
      </div>
      <p>{lines.map(({ product, quantity }) => `${quantity} × ${product}`).join(", ") || "Nothing"}</p>
      <div className="order-foot">
        <time dateTime={new Date(_creationTime).toISOString()}>{time.format(_creationTime)}</time>
        {status === "placed" && !pending && (
          <button
            type="button"
            className="quiet"
            aria-label={`Cancel the order of ${customer}`}
            onClick={() => void cancel({ order: _id }).catch(() => {})}
          >
            Cancel
          </button>
        )}
      </div>
    </li>
  );
}
