-- Keys that stand for an account in place of a token. Of a key's secret only its SHA-256 is kept: it has 256 random
-- bits, so nothing slower is needed.

CREATE TABLE api_keys (
    key_id uuid PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    sha256 bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    name text NOT NULL,
    scopes text[] NOT NULL CHECK (scopes <@ '{read,write}' AND cardinality(scopes) > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    -- Written once a minute at most.
    last_used_at timestamptz
);

CREATE INDEX api_keys_by_account ON api_keys (account_id, created_at DESC);
