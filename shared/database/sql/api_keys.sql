-- name: create
INSERT INTO api_keys (key_id, account_id, sha256, name, scopes, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING *

-- name: forget
DELETE FROM api_keys WHERE key_id IN (
    SELECT key_id FROM api_keys WHERE account_id = $1 AND (revoked_at IS NOT NULL OR expires_at <= now())
    ORDER BY least(revoked_at, expires_at) DESC, key_id OFFSET $2
)

-- name: page
SELECT * FROM api_keys WHERE account_id = $1
ORDER BY created_at DESC, key_id
LIMIT $2 OFFSET $3

-- name: revoke
-- Once revoked, a key stays so since then.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1 AND account_id = $2
RETURNING key_id

-- name: use
-- A statement that changes a row sees it as it was: what is answered is the row before.
WITH used AS (
    UPDATE api_keys SET last_used_at = now()
    WHERE sha256 = $1 AND revoked_at IS NULL AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
)
SELECT * FROM api_keys WHERE sha256 = $1

-- name: get
SELECT * FROM api_keys WHERE key_id = $1 AND account_id = $2
