-- name: insert
INSERT INTO webhook_deliveries (agent_run_id, account_id, url) VALUES ($1, $2, $3)

-- name: due_in
-- Of a run that has ended.
SELECT extract(epoch FROM d.next_attempt_at - clock_timestamp())::float8
FROM webhook_deliveries d JOIN agent_runs r USING (agent_run_id)
WHERE d.agent_run_id = $1 AND d.account_id = $2 AND d.status = 'pending' AND r.status NOT IN ('queued', 'running')

-- name: begin
-- Of two at once, the second waits for the row and finds that it is not due.
UPDATE webhook_deliveries d SET
    attempts = attempts + 1,
    next_attempt_at = clock_timestamp() + make_interval(secs => $3),
    updated_at = clock_timestamp()
FROM agent_runs r
WHERE d.agent_run_id = $1 AND d.account_id = $2 AND r.agent_run_id = d.agent_run_id
  AND d.status = 'pending' AND d.next_attempt_at <= clock_timestamp() AND r.status NOT IN ('queued', 'running')
RETURNING d.url, d.attempts, extract(epoch FROM clock_timestamp() - r.ended_at)::float8 AS age_s

-- name: end
-- An attempt that lasted too long, so that another one has begun, says nothing.
UPDATE webhook_deliveries SET
    status = $4,
    next_attempt_at = clock_timestamp() + make_interval(secs => $5),
    problem = $6,
    updated_at = clock_timestamp()
WHERE agent_run_id = $1 AND account_id = $2 AND attempts = $3 AND status = 'pending'
