-- A generation is one life of a thread's id: clients choose the ids, so another account, or the same one, may make a
-- thread again that was deleted. Its event log in Redis is named after the generation, and nothing of it is ever read
-- under another. Threads that are there have none, and keep the log that they have, which was named after their id: to
-- write one into each row would hold up every run for as long as that takes.

ALTER TABLE threads ADD COLUMN generation uuid;
ALTER TABLE threads ALTER COLUMN generation SET DEFAULT gen_random_uuid();

-- What Redis and DynamoDB hold of threads that are no more, until it is removed. However a thread's row goes, with its
-- account too, its entry is made in the same transaction.
CREATE TABLE deleted_logs (
    generation uuid PRIMARY KEY,
    thread_id uuid NOT NULL,
    account_id text NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX deleted_logs_account ON deleted_logs (account_id);

CREATE FUNCTION note_deleted_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deleted_logs (generation, thread_id, account_id)
    VALUES (coalesce(OLD.generation, OLD.thread_id), OLD.thread_id, OLD.account_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER note_deleted_log AFTER DELETE ON threads FOR EACH ROW EXECUTE FUNCTION note_deleted_log();

-- Events of runs that are no more, until they are removed from the log of their thread, which stays.
CREATE TABLE deleted_events (
    agent_run_id uuid PRIMARY KEY,
    thread_id uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL
);
CREATE INDEX deleted_events_thread ON deleted_events (thread_id);
-- That they are gone is a fact of the thread, and of no run.
ALTER TABLE thread_events ALTER COLUMN agent_run_id DROP NOT NULL;
