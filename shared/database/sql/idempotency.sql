-- name: begin
-- Of two at once, the second waits here until the first has committed, and gets no row then. After a day a key is new.
INSERT INTO idempotency_keys (account_id, route, key, body_hash, status) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account_id, route, key) DO UPDATE SET
    body_hash = excluded.body_hash, status = excluded.status, answer = NULL, created_at = clock_timestamp()
WHERE idempotency_keys.created_at < clock_timestamp() - interval '24 hours'
RETURNING key

-- name: get
SELECT body_hash, status, answer FROM idempotency_keys WHERE account_id = $1 AND route = $2 AND key = $3

-- name: keep
UPDATE idempotency_keys SET answer = $4::jsonb WHERE account_id = $1 AND route = $2 AND key = $3
