-- The trigger that tells of writes of the feed's table.
-- One notification per statement, with the topics that it wrote. A payload has at most 8,000 bytes.
CREATE FUNCTION notify_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    topics text;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        topics := '*';
    ELSIF TG_OP = 'UPDATE' THEN
        SELECT json_agg(DISTINCT topic) INTO topics
          FROM (SELECT topic FROM old_rows UNION SELECT topic FROM new_rows) AS both_images;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT json_agg(DISTINCT topic) INTO topics FROM new_rows;
    ELSE
        SELECT json_agg(DISTINCT topic) INTO topics FROM old_rows;
    END IF;
    IF topics IS NOT NULL THEN
        PERFORM pg_notify('entries', CASE WHEN octet_length(topics) < 7900 THEN topics ELSE '*' END);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER notify_insert AFTER INSERT ON entries
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION notify_entries();
CREATE TRIGGER notify_update AFTER UPDATE ON entries
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION notify_entries();
CREATE TRIGGER notify_delete AFTER DELETE ON entries
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION notify_entries();
CREATE TRIGGER notify_truncate AFTER TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION notify_entries();
