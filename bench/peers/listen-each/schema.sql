-- Each topic has a channel, so that a subscriber is told of its own only. A name has at most 63 bytes.
CREATE FUNCTION notify_topic() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('t ' || left(md5(topic), 32), '') FROM (SELECT DISTINCT topic FROM new_rows) AS written;
    RETURN NULL;
END $$;

CREATE TRIGGER notify_insert AFTER INSERT ON entries
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION notify_topic();
