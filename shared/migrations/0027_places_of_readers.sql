-- Which public threads of other accounts wait to be served to an account's readers: by a sender that has one of the
-- places of that account, not of the thread's.

CREATE TABLE reader_calls (
    account_id text NOT NULL,
    thread_id uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    called_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, thread_id)
);
-- One of an account's calls is found wherever among them one begins to look.
CREATE INDEX sender_calls_of_account_by_thread ON sender_calls (account_id, thread_id);
DROP INDEX sender_calls_of_account;

CREATE INDEX reader_calls_of_thread ON reader_calls (thread_id);
CREATE INDEX reader_calls_by_age ON reader_calls (called_at);
