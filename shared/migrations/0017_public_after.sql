-- From which event on a public thread's stream is everybody's: what was said while it was private, or in a run that was
-- rolled back or deleted, is in the log still, and its account's only.

ALTER TABLE threads ADD COLUMN public_after_seq bigint NOT NULL DEFAULT 0;
UPDATE threads SET public_after_seq = reserved_seq WHERE is_public;

-- Whoever makes a thread public, whatever else the statement does: no number beyond those that are reserved is in use, and
-- facts that wait for one get the next ones.
CREATE FUNCTION hide_what_was_private() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.public_after_seq := NEW.reserved_seq + (
        SELECT count(*) FROM thread_events e
        WHERE e.thread_id = NEW.thread_id AND e.seq IS NULL AND e.logged_at IS NULL
    );
    RETURN NEW;
END
$$;
CREATE TRIGGER hide_what_was_private BEFORE UPDATE OF is_public ON threads
FOR EACH ROW WHEN (NEW.is_public AND NOT OLD.is_public) EXECUTE FUNCTION hide_what_was_private();
