-- What plain Postgres does beside the part `documents`: the same reads and writes by PL/pgSQL, whose statements are
-- prepared, and tables with native indexes.
CREATE SCHEMA bench;

-- The posts once more, with the index that one makes by hand.
CREATE TABLE bench.posts (LIKE public.posts);
INSERT INTO bench.posts SELECT * FROM public.posts;
CREATE INDEX ON bench.posts (topic, "_creationTime", _id);

CREATE FUNCTION bench.get(ids text[]) RETURNS float8 LANGUAGE plpgsql STABLE AS $$
DECLARE
    id text;
    found json;
    one float8;
    total float8 := 0;
BEGIN
    FOREACH id IN ARRAY ids LOOP
        SELECT row_to_json(p), p.score INTO found, one FROM public.posts p WHERE p._id = id;
        total := total + one;
    END LOOP;
    RETURN total;
END $$;

CREATE FUNCTION bench.take(topics text[]) RETURNS float8 LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted text;
    found json;
    one float8;
    total float8 := 0;
BEGIN
    FOREACH wanted IN ARRAY topics LOOP
        SELECT json_agg(row_to_json(page)), sum(page.score) INTO found, one
          FROM (SELECT * FROM bench.posts p WHERE p.topic = wanted ORDER BY "_creationTime", _id LIMIT 100) AS page;
        total := total + one;
    END LOOP;
    RETURN total;
END $$;

CREATE FUNCTION bench.insert(count integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    new_id text;
BEGIN
    FOR n IN 0 .. count - 1 LOOP
        INSERT INTO public.posts (topic, author, title, body, score, pinned, tags) VALUES (
            'topic ' || n % 100,
            'author ' || n % 37,
            'Post number ' || n,
            'Someone wrote these two hundred characters of text, as they do in a forum, and someone else is to read them on a '
            'page that shows a hundred such posts, each with its author, a title and how often it was liked.',
            n,
            n % 50 = 0,
            jsonb_build_array('bench', 'tag ' || n % 7)
        ) RETURNING _id INTO new_id;
    END LOOP;
    RETURN count;
END $$;

-- Three tables that differ in their index only. Rows come in an order that fits none; no two are alike.
CREATE SEQUENCE bench.batch;
CREATE TABLE bench.source AS
    SELECT live.new_id(10001) COLLATE "C" AS _id,
           1790000000000 + n::float8 / 8 AS "_creationTime",
           ('author ' || hashint4(n) % 1000) COLLATE "C" AS author,
           (hashint4(n + 1000000) % 100000)::float8 AS score,
           NULL::jsonb AS _extra
      FROM generate_series(1, 5000) AS n;

DO $$
DECLARE
    part text;
BEGIN
    FOREACH part IN ARRAY ARRAY['index_none', 'index_native', 'index_key'] LOOP
        EXECUTE format('CREATE TABLE bench.%I (LIKE bench.source)', part);
        EXECUTE format($body$
            CREATE FUNCTION bench.%I() RETURNS integer LANGUAGE plpgsql AS $fill$
            DECLARE
                batch bigint := nextval('bench.batch');
                added integer;
            BEGIN
                INSERT INTO bench.%I
                SELECT _id, "_creationTime" + batch * 1000, author, score + batch %% 7, _extra FROM bench.source;
                GET DIAGNOSTICS added = ROW_COUNT;
                RETURN added;
            END $fill$ $body$, 'fill_' || part, part);
        EXECUTE format('SELECT bench.%I() FROM generate_series(1, 20)', 'fill_' || part);
    END LOOP;
END $$;
CREATE INDEX ON bench.index_native (author, score, "_creationTime", _id);
CREATE INDEX ON bench.index_key (live.index_key_v1(_extra, 'author'::text, author, 'score'::text, score, "_creationTime", _id));
