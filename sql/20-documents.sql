-- What the definitions of document tables use.

CREATE FUNCTION live.new_id(table_number integer) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_new_id';
COMMENT ON FUNCTION live.new_id IS 'A new document id of the table with this number.';

CREATE FUNCTION live.creation_time() RETURNS float8
    LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'live_creation_time';
COMMENT ON FUNCTION live.creation_time IS
    'Milliseconds since 1970 of the transaction''s start; grows with each call in it.';

-- (_extra, field path, column or NULL, field path, column or NULL, ..., "_creationTime", _id)
CREATE FUNCTION live.index_key_v1(extra jsonb, VARIADIC fields "any") RETURNS bytea
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_index_key_v1';
COMMENT ON FUNCTION live.index_key_v1 IS
    'The key of a document in an index: its bytes order as documents do.';

-- (rule, _id, _extra, field, column, field, column, ...)
CREATE FUNCTION live.valid(rule text, id text, extra jsonb, VARIADIC fields "any") RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_valid';
COMMENT ON FUNCTION live.valid IS
    'True if the row is a document of the schema; an error that names the field otherwise.';

CREATE FUNCTION live.id_table(id text) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'live_id_table';
COMMENT ON FUNCTION live.id_table IS 'The table number in a document id; NULL if it is not one.';
