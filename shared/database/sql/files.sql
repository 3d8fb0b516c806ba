-- name: insert
-- With its object, if that was stored before ($8), there is nothing to remove any more.
WITH kept AS (DELETE FROM file_removals WHERE object_key = $7)
INSERT INTO files (file_id, thread_id, account_id, name, content_type, size, object_key, stored_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $8 THEN clock_timestamp() END)
RETURNING *

-- name: count
SELECT count(*) FROM files WHERE thread_id = $1 AND account_id = $2

-- name: list
SELECT * FROM files WHERE thread_id = $1 AND account_id = $2
ORDER BY created_at, file_id
LIMIT $3 OFFSET $4

-- name: find
SELECT * FROM files WHERE file_id = ANY ($1::uuid[]) AND thread_id = $2 AND account_id = $3

-- name: note_stored
UPDATE files SET stored_at = clock_timestamp()
WHERE file_id = ANY ($1::uuid[]) AND thread_id = $2 AND account_id = $3 AND stored_at IS NULL

-- name: delete
DELETE FROM files WHERE file_id = $1 AND thread_id = $2 AND account_id = $3 RETURNING file_id

-- name: expect
INSERT INTO file_removals (object_key, due_at, last_at, size)
SELECT object_key, clock_timestamp() + interval '1 hour', clock_timestamp(), size
FROM unnest($1::text[], $2::bigint[]) AS expected (object_key, size)

-- name: due_removals
SELECT object_key FROM file_removals WHERE due_at <= now() ORDER BY due_at LIMIT $1

-- name: note_removed
-- What may be uploaded once more is removed once more.
WITH again AS (
    UPDATE file_removals SET due_at = last_at WHERE object_key = ANY ($1::text[]) AND last_at > clock_timestamp()
)
DELETE FROM file_removals WHERE object_key = ANY ($1::text[]) AND last_at <= clock_timestamp()
