-- Threads, messages and runs. PostgreSQL is the truth: whatever a client was told stands here first.

CREATE TABLE accounts (
    -- The `sub` of the account's tokens; issuers are free in its form.
    account_id text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE threads (
    thread_id uuid PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    metadata jsonb NOT NULL DEFAULT '{}',
    -- Runs are numbered in a thread in the order of their recording.
    last_run_number int NOT NULL DEFAULT 0,
    -- Raised by each claim: the only one who may number and append events is the holder of the newest epoch.
    epoch bigint NOT NULL DEFAULT 0,
    -- last_seq is exact after a clean end; between, numbers up to reserved_seq may be in use.
    last_seq bigint NOT NULL DEFAULT 0,
    reserved_seq bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (last_seq <= reserved_seq)
);
CREATE INDEX threads_of_account ON threads (account_id, created_at DESC, thread_id);
CREATE INDEX threads_metadata ON threads USING gin (metadata jsonb_path_ops);

CREATE TABLE agent_runs (
    agent_run_id uuid PRIMARY KEY,
    thread_id uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES accounts,
    number int NOT NULL,
    status text NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'running', 'completed', 'failed', 'stopped', 'timed_out', 'needs_input')),
    -- Who may claim the run: the queue's runner or the workflow's.
    executor text NOT NULL DEFAULT 'queue' CHECK (executor IN ('queue', 'workflow')),
    handover_no int NOT NULL DEFAULT 0,
    wake_by timestamptz,
    -- The fence: a claim raises it, and nothing of an older attempt commits afterwards.
    attempt int NOT NULL DEFAULT 0,
    crashes int NOT NULL DEFAULT 0,
    lease_expires_at timestamptz,
    not_before timestamptz NOT NULL DEFAULT now(),
    stop_requested text CHECK (stop_requested IN ('stop', 'interrupt', 'rollback')),
    dispatched_at timestamptz,
    settled_at timestamptz,
    assistant_id text NOT NULL,
    model text,
    config jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    multitask_strategy text NOT NULL DEFAULT 'enqueue'
        CHECK (multitask_strategy IN ('enqueue', 'reject', 'interrupt', 'rollback')),
    error jsonb,
    usage jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    UNIQUE (thread_id, number)
);
-- At most one run of a thread is being executed, whatever anybody believes.
CREATE UNIQUE INDEX one_running_run_a_thread ON agent_runs (thread_id) WHERE status = 'running';
CREATE INDEX unfinished_runs_of_account ON agent_runs (account_id) WHERE status IN ('queued', 'running');

CREATE TABLE messages (
    message_id uuid PRIMARY KEY,
    thread_id uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES accounts,
    -- A message's place is (run number, position): what is sent while a run is busy never falls between its messages.
    run_number int NOT NULL,
    position int NOT NULL,
    agent_run_id uuid REFERENCES agent_runs ON DELETE CASCADE,
    -- One turn of the model within a run.
    thread_run_id uuid,
    type text NOT NULL CHECK (type IN ('user', 'assistant', 'system', 'tool', 'summary')),
    is_llm_message boolean NOT NULL DEFAULT true,
    content jsonb NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    -- A summary stands for all messages of its thread up to this place.
    covers_run_number int,
    covers_position int,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (thread_id, run_number, position),
    CHECK ((type = 'summary') = (covers_run_number IS NOT NULL AND covers_position IS NOT NULL))
);
-- One summary of the same messages, whoever else made one at the same time.
CREATE UNIQUE INDEX one_summary_of_the_same ON messages (thread_id, covers_run_number, covers_position)
WHERE type = 'summary';
