-- Answers to requests that carried an Idempotency-Key, written in the transaction that did what they asked for.

CREATE TABLE idempotency_keys (
    account_id text NOT NULL,
    -- Method and path, ids included.
    route text NOT NULL,
    key text NOT NULL,
    -- Of the request's parsed body.
    body_hash bytea NOT NULL,
    status int NOT NULL,
    answer jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, route, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
