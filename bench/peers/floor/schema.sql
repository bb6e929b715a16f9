-- No index but the primary key, and no trigger: the writer itself notifies.
CREATE TABLE floor_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    topic text COLLATE "C" NOT NULL,
    n float8 NOT NULL,
    body text NOT NULL
);
