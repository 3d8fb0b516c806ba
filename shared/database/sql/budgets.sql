-- name: of_run
-- What a run and its account's day have used, and what the plan allows.
SELECT
    p.max_run_tokens, p.max_run_cost_usd::float8, p.max_day_tokens, p.max_day_cost_usd::float8,
    p.max_answer_tool_calls, p.models, p.provider_keys,
    r.tokens AS run_tokens, r.cost_usd AS run_cost_usd,
    u.tokens AS day_tokens, u.cost_usd::float8 AS day_cost_usd,
    today.day + 1 AS resets_on
FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS day) today
JOIN accounts a ON a.account_id = $1
JOIN plans p USING (plan_id)
CROSS JOIN LATERAL usage_of_day(a.account_id, today.day) u
CROSS JOIN LATERAL (
    SELECT coalesce(sum((c.metadata #>> '{usage,total_tokens}')::bigint), 0)::bigint AS tokens,
        coalesce(sum((c.metadata ->> 'price_usd')::numeric), 0)::float8 AS cost_usd
    FROM charged_answers c
    WHERE c.thread_id = $2 AND c.account_id = a.account_id AND c.run_number = $3
) r

-- name: of_day
SELECT
    p.max_day_tokens, p.max_day_cost_usd::float8,
    u.tokens AS day_tokens, u.cost_usd::float8 AS day_cost_usd,
    today.day + 1 AS resets_on
FROM (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS day) today
JOIN accounts a ON a.account_id = $1
JOIN plans p USING (plan_id)
CROSS JOIN LATERAL usage_of_day(a.account_id, today.day) u

-- name: charge_unkept
-- An answer that no message was kept of, as far as anybody knew: the message has the charge, if it is there. Nothing is
-- charged to a thread that is gone.
INSERT INTO unkept_answers (answer_id, thread_id, account_id, run_number, metadata)
SELECT $1, t.thread_id, t.account_id, $4, $5::jsonb FROM threads t
WHERE t.thread_id = $2 AND t.account_id = $3 AND NOT EXISTS (
    SELECT FROM messages m WHERE m.message_id = $1 AND m.thread_id = t.thread_id AND m.account_id = t.account_id
)
ON CONFLICT (answer_id) DO NOTHING
