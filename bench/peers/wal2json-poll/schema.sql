-- Who may see which rows; the check is made for each subscriber of a change.
ALTER TABLE entries REPLICA IDENTITY FULL;
ALTER TABLE entries ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_topics ON entries FOR SELECT USING (
    topic = ANY (string_to_array(current_setting('request.jwt.claims', true)::json ->> 'topics', ',')));
