import type { FormEvent } from "react";
import type { Doc, Id } from "../../convex/_generated/dataModel";
import { money } from "../lib/money";
import type { Basket } from "../lib/useBasket";

interface Props {
  products: Doc<"products">[];
  basket: Basket;
  /** Why the last order was refused. */
  error: string | null;
  onPut: (product: Id<"products">, quantity: number) => void;
  onPlace: () => void;
}

export function BasketForm({ products, basket, error, onPut, onPlace }: Props) {
  const chosen = products.filter(({ _id }) => basket.has(_id));
  const total = chosen.reduce((sum, { _id, price }) => sum + price * BigInt(basket.get(_id) ?? 0), 0n);

  function onSubmit(event: FormEvent) {
    event.preventDefault();
    onPlace();
  }

  return (
    <form className="basket" aria-label="Basket" onSubmit={onSubmit}>
      <h2>Basket</h2>
      {chosen.length === 0 && <p className="nothing">Nothing in it yet.</p>}
      <ul>
        {chosen.map(({ _id, name, price }) => {
          const quantity = basket.get(_id) ?? 0;
          return (
            <li key={_id}>
              <span className="basket-name">{name}</span>
              <button type="button" className="step" aria-label={`One ${name} less`} onClick={() => onPut(_id, quantity - 1)}>
                −
              </button>
              <span className="basket-quantity">{quantity}</span>
              <button type="button" className="step" aria-label={`One ${name} more`} onClick={() => onPut(_id, quantity + 1)}>
                +
              </button>
              <span className="price">{money(price * BigInt(quantity))}</span>
            </li>
          );
        })}
      </ul>
      {error !== null && <p role="alert">{error}</p>}
      <button type="submit" className="button wide" disabled={chosen.length === 0}>
        {chosen.length === 0 ? "Place order" : `Place order · ${money(total)}`}
      </button>
    </form>
  );
}
