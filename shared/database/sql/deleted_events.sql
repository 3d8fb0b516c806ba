-- name: get
SELECT d.*, coalesce(t.generation, t.thread_id) AS generation
FROM deleted_events d JOIN threads t USING (thread_id)
WHERE d.agent_run_id = $1 AND t.account_id = $2

-- name: remove
DELETE FROM deleted_events WHERE agent_run_id = $1

-- name: old
-- Whoever deleted the run has a message on its way, or that is lost.
SELECT d.agent_run_id, t.account_id
FROM deleted_events d JOIN threads t USING (thread_id)
WHERE d.deleted_at < now() - interval '1 hour'
ORDER BY d.deleted_at LIMIT $1
