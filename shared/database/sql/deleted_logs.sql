-- name: get
SELECT * FROM deleted_logs WHERE generation = $1

-- name: of_account
SELECT * FROM deleted_logs WHERE account_id = $1 LIMIT $2

-- name: remove
DELETE FROM deleted_logs WHERE generation = $1
