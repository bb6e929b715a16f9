CREATE TABLE accounts (
    name text COLLATE "C" PRIMARY KEY,
    balance float8 NOT NULL
);

-- The whole transfer in one round trip.
CREATE FUNCTION transfer(source text, target text, amount float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before float8;
    other float8;
BEGIN
    SELECT balance INTO STRICT before FROM accounts WHERE name = source;
    SELECT balance INTO STRICT other FROM accounts WHERE name = target;
    UPDATE accounts SET balance = before - amount WHERE name = source;
    UPDATE accounts SET balance = other + amount WHERE name = target;
END $$;
