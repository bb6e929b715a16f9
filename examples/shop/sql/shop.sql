-- What the rest of a company would put beside the app's tables. To be run once, after the first deploy:
--   . .pg-live/env && psql "$DATABASE_URL" -f sql/shop.sql

-- A rule for every writer, whatever it is written in.
ALTER TABLE products ADD CONSTRAINT stock_is_not_negative CHECK (stock >= 0);

-- A plain table of the warehouse, which refers to documents by a foreign key.
CREATE TABLE shipments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text COLLATE "C" NOT NULL UNIQUE REFERENCES orders (_id),
    carrier text NOT NULL,
    shipped_at timestamptz NOT NULL DEFAULT now()
);

-- A shipment ships its order. The page shows it, as the order has changed.
CREATE FUNCTION ship_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE orders SET status = 'shipped' WHERE _id = NEW.order_id AND status = 'placed';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'order % is not waiting to be shipped', NEW.order_id;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER ship_order BEFORE INSERT ON shipments FOR EACH ROW EXECUTE FUNCTION ship_order();

-- A report, in whole currency units.
CREATE VIEW best_sellers AS
    SELECT p.sku, p.name, sum(l.quantity) AS sold, round(sum(l.quantity::numeric * l.price) / 100, 2) AS revenue
      FROM lines l
      JOIN orders o ON o._id = l."order" AND o.status <> 'cancelled'
      JOIN products p ON p._id = l.product
     GROUP BY p._id, p.sku, p.name
     ORDER BY sold DESC, p.name;
