-- Facts of a thread's event stream: what must reach its subscribers whatever dies, because a state depends on it.

CREATE TABLE thread_events (
    -- The order in which facts of one transaction, or of transactions after one another, were written.
    event_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    thread_id uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    agent_run_id uuid NOT NULL REFERENCES agent_runs ON DELETE CASCADE,
    channel text NOT NULL,
    data jsonb NOT NULL,
    timestamp_ms bigint NOT NULL,
    -- Its number in the stream, given by the holder of the thread's epoch before the append, and never another one.
    seq bigint,
    -- Set after the append. A row without it may be in the log all the same: then a second append finds it there.
    logged_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (thread_id, seq),
    CHECK (logged_at IS NULL OR seq IS NOT NULL)
);
CREATE INDEX unlogged_events_of_thread ON thread_events (thread_id, event_no) WHERE logged_at IS NULL;
CREATE INDEX events_of_run ON thread_events (agent_run_id) WHERE logged_at IS NULL;

ALTER TABLE messages
    -- Of a run that was rolled back: kept, and shown to nobody.
    ADD COLUMN hidden boolean NOT NULL DEFAULT false;
