-- name: get
SELECT d.*, coalesce(t.generation, t.thread_id) AS generation
FROM deleted_events d JOIN threads t USING (thread_id)
WHERE d.agent_run_id = $1 AND t.account_id = $2

-- name: remove
DELETE FROM deleted_events WHERE agent_run_id = $1
