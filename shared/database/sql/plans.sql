-- name: usage
-- What the account's plan allows, and what it uses of it. A run that has been asked to stop counts until another one of
-- its thread waits behind it ($2: is about to): the two are never executed at the same time.
SELECT p.max_unfinished_runs,
    count(*) FILTER (WHERE r.counts) AS unfinished_runs,
    coalesce(array_agg(DISTINCT r.thread_id) FILTER (WHERE r.counts), '{}') AS thread_ids,
    (array_agg(r.agent_run_id) FILTER (WHERE r.thread_id = $2))[1] AS busy_with,
    p.max_thread_messages, p.models, p.provider_keys,
    -- Counted no further than it matters.
    (
        SELECT count(*) FROM (
            SELECT FROM messages m WHERE m.thread_id = $2 LIMIT p.max_thread_messages
        ) AS counted
        WHERE p.max_thread_messages IS NOT NULL
    ) AS thread_messages
FROM accounts a
JOIN plans p USING (plan_id)
LEFT JOIN LATERAL (
    SELECT u.agent_run_id, u.thread_id,
        u.stop_requested IS NULL OR (
            u.thread_id <> $2 AND NOT EXISTS (
                SELECT FROM agent_runs next
                WHERE next.thread_id = u.thread_id AND next.number > u.number AND next.status = 'queued'
            )
        ) AS counts
    FROM agent_runs u
    WHERE u.account_id = a.account_id AND u.status IN ('queued', 'running')
) r ON true
WHERE a.account_id = $1
GROUP BY p.plan_id

-- name: request_rate
-- Also of an account that does not exist yet.
SELECT requests_per_minute, request_burst FROM plans
WHERE plan_id = plan_of($1)

-- name: answer_tool_calls
SELECT max_answer_tool_calls FROM plans
WHERE plan_id = plan_of($1)

-- name: allowed
SELECT models, provider_keys FROM plans
WHERE plan_id = plan_of($1)

-- name: file_limits
SELECT max_file_bytes, max_thread_files, file_types FROM plans
WHERE plan_id = plan_of($1)

-- name: connection_limits
SELECT max_connections, max_subscriptions FROM plans
WHERE plan_id = plan_of($1)
