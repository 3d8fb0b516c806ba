-- name: begin
INSERT INTO tool_executions (
    agent_run_id, call_id, thread_id, account_id, assistant_message_id, call_index, name, arguments, form,
    status, started_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, CASE WHEN $10 = 'started' THEN clock_timestamp() END)

-- name: start
UPDATE tool_executions SET status = 'started', started_at = clock_timestamp()
WHERE assistant_message_id = $1 AND call_id = $2 AND status IN ('pending', 'awaiting')
RETURNING call_id

-- name: finish
UPDATE tool_executions SET status = 'finished', result = $3::jsonb, finished_at = clock_timestamp()
WHERE assistant_message_id = $1 AND call_id = $2 AND status <> 'finished'
RETURNING call_id

-- name: answered
UPDATE tool_executions SET answered = true WHERE assistant_message_id = $1 AND call_id = $2

-- name: of_message
SELECT t.*, m.run_number
FROM tool_executions t JOIN messages m ON m.message_id = t.assistant_message_id
WHERE t.assistant_message_id = $1
ORDER BY t.call_index

-- name: unanswered
-- In the order in which their results belong into the thread.
SELECT t.*, m.run_number
FROM tool_executions t JOIN messages m ON m.message_id = t.assistant_message_id
WHERE t.thread_id = $1 AND t.account_id = $2 AND NOT t.answered
ORDER BY m.run_number, m.position, t.call_index

-- name: awaiting
SELECT call_id, name, arguments FROM tool_executions
WHERE thread_id = $1 AND account_id = $2 AND NOT answered AND status = 'awaiting'
ORDER BY call_index
