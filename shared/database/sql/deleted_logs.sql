-- name: get
SELECT * FROM deleted_logs WHERE generation = $1

-- name: of_account
SELECT * FROM deleted_logs WHERE account_id = $1 LIMIT $2

-- name: old
-- Whoever deleted them has a message on its way, or has sent none.
SELECT * FROM deleted_logs WHERE deleted_at < now() - interval '1 hour' ORDER BY deleted_at LIMIT $1

-- name: remove
DELETE FROM deleted_logs WHERE generation = $1
