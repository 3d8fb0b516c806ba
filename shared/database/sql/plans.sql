-- name: lock_account
-- The row lock under which an account's unfinished runs are counted. Lock order: account, thread, run. NO KEY: whatever
-- refers to the account takes a key share, and must not wait here.
SELECT p.max_unfinished_runs FROM accounts a JOIN plans p USING (plan_id)
WHERE a.account_id = $1
FOR NO KEY UPDATE OF a

-- name: unfinished
-- Runs of the thread that have been asked to stop make way for the one that is counted for.
SELECT count(*) AS runs, coalesce(array_agg(DISTINCT thread_id), '{}') AS thread_ids
FROM agent_runs
WHERE account_id = $1 AND status IN ('queued', 'running') AND (thread_id <> $2 OR stop_requested IS NULL)

-- name: request_rate
-- An account begins to exist with the first thing that is its; until then it has the default plan.
SELECT requests_per_minute, request_burst FROM plans
WHERE plan_id = coalesce((SELECT plan_id FROM accounts WHERE account_id = $1), 'default')
