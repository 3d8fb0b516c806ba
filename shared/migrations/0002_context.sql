-- What the model is given of a thread: token counts of its messages, and summaries that stand for the older ones.

CREATE TABLE message_tokens (
    message_id uuid NOT NULL REFERENCES messages ON DELETE CASCADE,
    -- The encoding that the tokens are counted in.
    encoding text NOT NULL,
    -- Of the counter and of the compression: counts of other versions are made anew.
    version text NOT NULL,
    full_tokens int NOT NULL,
    compressed_tokens int NOT NULL,
    -- How the message is given to the model once it is old; NULL: as it is.
    compressed jsonb,
    PRIMARY KEY (message_id, encoding)
);

-- A run was handed over for want of a summary. No new summary since: it was asked for in vain.
CREATE TABLE summary_requests (
    agent_run_id uuid PRIMARY KEY REFERENCES agent_runs ON DELETE CASCADE,
    -- The thread's newest summary then.
    summary_id uuid,
    -- The provider had refused a context that fitted by our count.
    overflow boolean NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE messages
    -- The summary that this one carries on.
    ADD COLUMN follows_summary_id uuid,
    -- What the summary covers has changed since.
    ADD COLUMN void_at timestamptz,
    ADD CHECK (type = 'summary' OR (follows_summary_id IS NULL AND void_at IS NULL));

DROP INDEX one_summary_of_the_same;
CREATE UNIQUE INDEX one_summary_of_the_same ON messages (thread_id, covers_run_number, covers_position)
WHERE type = 'summary' AND void_at IS NULL;
-- Of two that carry on the same summary at once, one stands.
CREATE UNIQUE INDEX one_successor_of_a_summary ON messages (thread_id, follows_summary_id) NULLS NOT DISTINCT
WHERE type = 'summary' AND void_at IS NULL;

-- Triggers, so that nobody who will ever write a message can forget what is derived from it.
CREATE FUNCTION void_summaries_of_changed_message() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed messages%ROWTYPE;
BEGIN
    IF TG_OP = 'DELETE' THEN
        changed := OLD;
    ELSE
        changed := NEW;
    END IF;
    IF changed.type <> 'summary' THEN
        UPDATE messages SET void_at = clock_timestamp()
        WHERE thread_id = changed.thread_id AND type = 'summary' AND void_at IS NULL
          AND (covers_run_number, covers_position) >= (changed.run_number, changed.position);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER void_summaries AFTER INSERT OR UPDATE OR DELETE ON messages
FOR EACH ROW EXECUTE FUNCTION void_summaries_of_changed_message();

CREATE FUNCTION forget_tokens_of_changed_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM message_tokens WHERE message_id = NEW.message_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER forget_tokens AFTER UPDATE OF content ON messages
FOR EACH ROW EXECUTE FUNCTION forget_tokens_of_changed_message();
