-- name: mark
-- Also of an account that has no row yet: what it would begin meanwhile is refused.
INSERT INTO accounts AS a (account_id, deleting_at) VALUES ($1, clock_timestamp())
ON CONFLICT (account_id) DO UPDATE SET deleting_at = coalesce(a.deleting_at, excluded.deleting_at)

-- name: is_marked
SELECT deleting_at IS NOT NULL FROM accounts WHERE account_id = $1

-- name: begin_round
UPDATE accounts SET deleting_until = clock_timestamp() + make_interval(secs => $2)
WHERE account_id = $1 AND deleting_at IS NOT NULL
  AND (deleting_until IS NULL OR deleting_until < clock_timestamp())
RETURNING account_id

-- name: end_round
UPDATE accounts SET deleting_until = NULL WHERE account_id = $1

-- name: idle_threads
SELECT t.thread_id FROM threads t
WHERE t.account_id = $1 AND NOT EXISTS (
    SELECT FROM agent_runs r WHERE r.thread_id = t.thread_id AND r.status IN ('queued', 'running')
)
LIMIT $2

-- name: delete_messages
-- So many at most: a statement has its time, and a thread has no longest length. Summaries first: a message that goes
-- would have to void them.
DELETE FROM messages WHERE message_id IN (
    SELECT message_id FROM messages WHERE thread_id = $1 AND account_id = $2 ORDER BY type = 'summary' DESC LIMIT $3
)

-- name: delete_api_keys
DELETE FROM api_keys WHERE account_id = $1

-- name: delete_assistants
DELETE FROM assistants WHERE account_id = $1

-- name: delete_idempotency_keys
DELETE FROM idempotency_keys WHERE account_id = $1

-- name: delete_waits
DELETE FROM waits WHERE account_id = $1

-- name: delete_reader_calls
DELETE FROM reader_calls WHERE account_id = $1

-- name: delete
-- While a thread of it is left this fails, by the reference: nothing is forgotten.
DELETE FROM accounts WHERE account_id = $1 AND deleting_at IS NOT NULL
