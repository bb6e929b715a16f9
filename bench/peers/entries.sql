-- The table of the feed as a user of plain Postgres makes it; every peer has it in a database of its own.
CREATE TABLE entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    topic text COLLATE "C" NOT NULL,
    n float8 NOT NULL,
    body text NOT NULL
);
CREATE INDEX entries_by_topic ON entries (topic, id);

