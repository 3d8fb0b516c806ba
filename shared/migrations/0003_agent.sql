-- Assistants, the catalogue of what they may use, and the executions of tools.

CREATE TABLE assistants (
    assistant_id uuid PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    -- The version that runs get: see assistant_versions.
    version int NOT NULL DEFAULT 1,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX assistants_of_account ON assistants (account_id, created_at DESC, assistant_id);

CREATE TABLE assistant_versions (
    assistant_id uuid NOT NULL REFERENCES assistants ON DELETE CASCADE,
    version int NOT NULL,
    name text NOT NULL,
    description text,
    -- An AgentConfig (shared/agent_config.py).
    config jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (assistant_id, version)
);

-- What the runner's code can do, written by the runner, read by the API, which has neither litellm nor the tools.
CREATE TABLE catalogue (
    kind text PRIMARY KEY CHECK (kind IN ('tools', 'models')),
    content jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tool_executions (
    agent_run_id uuid NOT NULL REFERENCES agent_runs ON DELETE CASCADE,
    call_id text NOT NULL,
    thread_id uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES accounts,
    assistant_message_id uuid NOT NULL REFERENCES messages ON DELETE CASCADE,
    -- The call's place in its message.
    call_index int NOT NULL,
    name text NOT NULL,
    arguments jsonb NOT NULL,
    form text NOT NULL CHECK (form IN ('native', 'xml')),
    -- pending: nobody has started it. awaiting: a person has to approve it first. started: it may have had effects.
    -- finished: it has a result.
    status text NOT NULL CHECK (status IN ('pending', 'awaiting', 'started', 'finished')),
    result jsonb,
    -- Whether its result stands among the messages.
    answered boolean NOT NULL DEFAULT false,
    started_at timestamptz,
    finished_at timestamptz,
    -- Providers may give the same id to a call of another message.
    PRIMARY KEY (assistant_message_id, call_id),
    CHECK ((status = 'finished') = (result IS NOT NULL))
);
CREATE INDEX unanswered_calls_of_thread ON tool_executions (thread_id) WHERE NOT answered;
