-- name: held
-- A lease that has ended holds nothing: what a dead instance held is nobody's after it, without anybody's doing.
SELECT r.*, coalesce(t.generation, t.thread_id) AS generation FROM agent_runs r JOIN threads t USING (thread_id)
WHERE r.status = 'running' AND lease_expires_at > clock_timestamp()
  AND instance_id IS NOT NULL AND ($1::uuid IS NULL OR instance_id = $1)
ORDER BY instance_id, started_at

-- name: drain
INSERT INTO drained_instances (instance_id, until)
VALUES ($1, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (instance_id) DO UPDATE SET until = excluded.until

-- name: is_drained
SELECT 1 FROM drained_instances WHERE instance_id = $1 AND until > clock_timestamp()
