-- name: get
-- How far a run's end has come: in the database, and (settled) in the log, where its number is ended_seq.
SELECT r.status, r.error, r.settled_at IS NOT NULL AS settled, (
    SELECT max(e.seq) FROM thread_events e WHERE e.agent_run_id = r.agent_run_id AND e.channel = 'lifecycle'
) AS ended_seq
FROM agent_runs r WHERE r.agent_run_id = $1 AND r.account_id = $2
