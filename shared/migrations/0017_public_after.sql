-- From which event on a public thread's stream is everybody's: what was said while it was private, or in a run that was
-- rolled back or deleted, is in the log still, and its account's only. No row is written here: of threads that are public
-- already, everybody gets what the log has, as before, until it has forgotten that (24 hours) or they are made public anew.

ALTER TABLE threads ADD COLUMN public_after_seq bigint NOT NULL DEFAULT 0;
-- Whether a fact that had no number yet was written in private: it gets one behind what is hidden.
ALTER TABLE thread_events ADD COLUMN is_private boolean NOT NULL DEFAULT false;

-- Whoever makes a thread public, whatever else the statement does: no number beyond those that are reserved is in use.
CREATE FUNCTION hide_what_was_private() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.public_after_seq := NEW.reserved_seq;
    UPDATE thread_events SET is_private = true
    WHERE thread_id = NEW.thread_id AND logged_at IS NULL AND seq IS NULL;
    RETURN NEW;
END
$$;
CREATE TRIGGER hide_what_was_private BEFORE UPDATE OF is_public ON threads
FOR EACH ROW WHEN (NEW.is_public AND NOT OLD.is_public) EXECUTE FUNCTION hide_what_was_private();

-- Whoever reserves numbers, or gives them back: those of a run that went on when its thread was made public, which began
-- before what is everybody's, stay its account's until it ends. Numbers that nobody has used are the next holder's.
CREATE FUNCTION hide_what_began_in_private() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.public_after_seq := CASE
        WHEN EXISTS (
            SELECT FROM agent_runs r
            WHERE r.thread_id = NEW.thread_id AND r.status = 'running' AND r.begins_after < NEW.public_after_seq
        )
        THEN NEW.reserved_seq
        ELSE least(NEW.public_after_seq, NEW.reserved_seq)
    END;
    RETURN NEW;
END
$$;
CREATE TRIGGER hide_what_began_in_private BEFORE UPDATE OF reserved_seq ON threads
FOR EACH ROW WHEN (OLD.public_after_seq > 0) EXECUTE FUNCTION hide_what_began_in_private();
