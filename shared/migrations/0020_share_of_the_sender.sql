-- How many environments of the sender function may serve an account's threads at a time, and which of its threads wait
-- for one of those that do.

ALTER TABLE plans ADD COLUMN max_senders int NOT NULL DEFAULT 2 CHECK (max_senders BETWEEN 1 AND 1000);

CREATE TABLE sender_calls (
    account_id text NOT NULL,
    thread_id uuid PRIMARY KEY REFERENCES threads ON DELETE CASCADE,
    called_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sender_calls_of_account ON sender_calls (account_id);
