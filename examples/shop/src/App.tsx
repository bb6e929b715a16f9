import { useMutation, useQuery } from "convex/react";
import { useState } from "react";
import { api } from "../convex/_generated/api";
import { BasketForm } from "./components/BasketForm";
import { ConnectionBadge } from "./components/ConnectionBadge";
import { Orders } from "./components/Orders";
import { ProductCard } from "./components/ProductCard";
import { errorText } from "./lib/errorText";
import { usePlaceOrder } from "./lib/mutations";
import { useBasket } from "./lib/useBasket";
import { useCustomer } from "./lib/useCustomer";

export function App() {
  const [customer, setCustomer] = useCustomer();
  const { basket, put, setBasket } = useBasket();
  const products = useQuery(api.products.list, {});
  const place = usePlaceOrder();
  const fill = useMutation(api.sample.fill);
  const [error, setError] = useState<string | null>(null);

  async function onPlace() {
    const items = [...basket].map(([product, quantity]) => ({ product, quantity }));
    setBasket(new Map());
    setError(null);
    try {
      await place({ customer, items });
    } catch (failure) {
      setError(errorText(failure));
      setBasket((since) => (since.size > 0 ? since : basket));
    }
  }

  return (
    <div className="app">
      <header className="top">
        <img src="/icon.svg" alt="" width="34" height="34" />
        <div className="brand">
          <strong>pg_live shop</strong>
          <span>backed by PostgreSQL</span>
        </div>
        <ConnectionBadge />
        <label className="customer">
          <span>Customer</span>
          <input
            value={customer}
            onChange={(event) => setCustomer(event.target.value)}
            maxLength={40}
            autoComplete="off"
            spellCheck={false}
          />
        </label>
      </header>
      <main className="shelf">
        <h1>Shelf</h1>
        {products?.length === 0 && (
          <div className="empty">
            <p>The shelf is empty.</p>
            <button type="button" className="button" onClick={() => void fill()}>
              Add sample products
            </button>
          </div>
        )}
        <ul aria-label="Products" aria-busy={products === undefined}>
          {products?.map((product) => (
            <ProductCard key={product._id} product={product} inBasket={basket.get(product._id) ?? 0} onBasket={put} />
          ))}
        </ul>
      </main>
      <aside className="side">
        <BasketForm products={products ?? []} basket={basket} error={error} onPut={put} onPlace={() => void onPlace()} />
        <Orders />
      </aside>
    </div>
  );
}
