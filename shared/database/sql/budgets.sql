-- name: of_run
-- What a run and its account's day have used, and what the plan allows.
SELECT
    p.max_run_tokens, p.max_run_cost_usd::float8, p.max_day_tokens, p.max_day_cost_usd::float8,
    p.max_answer_tool_calls,
    r.tokens AS run_tokens, r.cost_usd AS run_cost_usd,
    coalesce(u.tokens, 0) AS day_tokens, coalesce(u.cost_usd, 0)::float8 AS day_cost_usd,
    today.day + 1 AS resets_on
FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS day) today
JOIN accounts a ON a.account_id = $1
JOIN plans p USING (plan_id)
LEFT JOIN account_usage u ON u.account_id = a.account_id AND u.day = today.day
CROSS JOIN LATERAL (
    SELECT coalesce(sum((m.metadata #>> '{usage,total_tokens}')::bigint), 0)::bigint AS tokens,
        coalesce(sum((m.metadata ->> 'price_usd')::numeric), 0)::float8 AS cost_usd
    FROM messages m
    WHERE m.thread_id = $2 AND m.account_id = a.account_id AND m.run_number = $3 AND m.metadata ? 'usage'
) r

-- name: of_day
SELECT
    p.max_day_tokens, p.max_day_cost_usd::float8,
    coalesce(u.tokens, 0) AS day_tokens, coalesce(u.cost_usd, 0)::float8 AS day_cost_usd,
    today.day + 1 AS resets_on
FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS day) today
JOIN accounts a ON a.account_id = $1
JOIN plans p USING (plan_id)
LEFT JOIN account_usage u ON u.account_id = a.account_id AND u.day = today.day
