import type { Doc, Id } from "../../convex/_generated/dataModel";
import { useRestock } from "../lib/mutations";
import { money } from "../lib/money";

/** With that many left or fewer, the card says so. */
const FEW = 5;
const RESTOCK = 5;

interface Props {
  product: Doc<"products">;
  inBasket: number;
  onBasket: (product: Id<"products">, quantity: number) => void;
}

export function ProductCard({ product, inBasket, onBasket }: Props) {
  const restock = useRestock();
  const { _id, sku, name, about, price, stock } = product;
  const left = stock === 0 ? "Sold out" : stock <= FEW ? `Only ${stock} left` : `${stock} in stock`;
  return (
    <li className="product" aria-label={name} data-stock={stock === 0 ? "none" : stock <= FEW ? "few" : "enough"}>
      <div className="product-head">
        <h2>{name}</h2>
        <span className="price">{money(price)}</span>
      </div>
      <p>{about}</p>
      <p className="sku">{sku}</p>
      <div className="product-foot">
        <span className="stock">{left}</span>
        <button
          type="button"
          className="quiet"
          title={`Restock: ${RESTOCK} more`}
          aria-label={`Restock ${name}`}
          onClick={() => void restock({ product: _id, quantity: RESTOCK })}
        >
          +{RESTOCK}
        </button>
        <button
          type="button"
          className="button"
          aria-label={`Add ${name} to the basket`}
          disabled={inBasket >= stock}
          onClick={() => onBasket(_id, inBasket + 1)}
        >
          {inBasket === 0 ? "Add" : `Add (${inBasket})`}
        </button>
      </div>
    </li>
  );
}
