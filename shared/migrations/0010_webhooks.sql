-- What a run's end is told to: one delivery a run, recorded with it, attempted by its watch until it has an outcome.

CREATE TABLE webhook_deliveries (
    agent_run_id uuid PRIMARY KEY REFERENCES agent_runs ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES accounts,
    url text NOT NULL,
    -- gone: the receiver answered 410. given_up: attempts or time ran out.
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'gone', 'given_up')),
    attempts int NOT NULL DEFAULT 0,
    -- While an attempt lasts: when another one may begin, if this one's process has died.
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    -- Why the last attempt failed.
    problem text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
