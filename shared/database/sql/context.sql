-- name: newest_summary
-- The summary that a run's context begins with, and what the run has asked for (a row even if there is neither).
SELECT s.message_id, s.covers_run_number, s.covers_position, t.full_tokens,
    q.agent_run_id IS NOT NULL AS requested, q.summary_id AS requested_after, q.overflow,
    extract(epoch FROM clock_timestamp() - q.requested_at)::float8 AS requested_ago_s
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (
    SELECT m.message_id, m.covers_run_number, m.covers_position FROM messages m
    WHERE m.thread_id = $1 AND m.account_id = $2 AND m.type = 'summary' AND m.void_at IS NULL
      AND m.covers_run_number <= $3
    ORDER BY m.covers_run_number DESC, m.covers_position DESC
    LIMIT 1
) s ON true
LEFT JOIN message_tokens t ON t.message_id = s.message_id AND t.encoding = $5 AND t.version = $6
LEFT JOIN summary_requests q ON q.agent_run_id = $4

-- name: page
-- Newest first: at most $9 messages between two places, and of those only what a budget of $10 tokens can hold, and
-- the first one more. What has no count yet counts as nothing here.
WITH page AS (
    SELECT m.message_id, m.type, m.run_number, m.position, m.agent_run_id, t.full_tokens, t.compressed_tokens
    FROM messages m
    LEFT JOIN message_tokens t ON t.message_id = m.message_id AND t.encoding = $7 AND t.version = $8
    WHERE m.thread_id = $1 AND m.account_id = $2 AND m.is_llm_message AND NOT m.hidden AND m.type <> 'summary'
      AND (m.run_number, m.position) > ($3::int, $4::int) AND (m.run_number, m.position) < ($5::int, $6::int)
    ORDER BY m.run_number DESC, m.position DESC
    LIMIT $9
), summed AS (
    SELECT *, coalesce(
        sum(compressed_tokens) OVER (
            ORDER BY run_number DESC, position DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0
    ) AS newer_tokens
    FROM page
)
SELECT * FROM summed WHERE newer_tokens <= $10 ORDER BY run_number DESC, position DESC

-- name: question
-- The messages that a run was started with, as far as they are older than a place.
SELECT m.message_id, m.type, m.run_number, m.position, m.agent_run_id, t.full_tokens, t.compressed_tokens
FROM messages m
LEFT JOIN message_tokens t ON t.message_id = m.message_id AND t.encoding = $7 AND t.version = $8
WHERE m.thread_id = $1 AND m.account_id = $2 AND m.is_llm_message AND NOT m.hidden AND m.type = 'user'
  AND m.agent_run_id = $3 AND m.run_number = $4 AND (m.run_number, m.position) < ($5::int, $6::int)
ORDER BY m.position DESC
LIMIT 20

-- name: count_after
SELECT count(*) FROM messages m
WHERE m.thread_id = $1 AND m.account_id = $2 AND m.is_llm_message AND NOT m.hidden AND m.type <> 'summary'
  AND (m.run_number, m.position) > ($3::int, $4::int) AND m.run_number <= $5

-- name: contents
-- In the order asked for, each whole or in its compressed form.
SELECT m.message_id, m.type,
    CASE WHEN wanted.whole THEN m.content ELSE coalesce(t.compressed, m.content) END AS content
FROM unnest($3::uuid[], $4::boolean[]) WITH ORDINALITY AS wanted (message_id, whole, place)
JOIN messages m ON m.message_id = wanted.message_id
LEFT JOIN message_tokens t ON t.message_id = m.message_id AND t.encoding = $5 AND t.version = $6
WHERE m.thread_id = $1 AND m.account_id = $2
ORDER BY wanted.place

-- name: keep_counts
INSERT INTO message_tokens (message_id, encoding, version, full_tokens, compressed_tokens, compressed)
SELECT counted.message_id, $5, $6, counted.full_tokens, counted.compressed_tokens, counted.compressed::jsonb
FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[])
    AS counted (message_id, full_tokens, compressed_tokens, compressed)
JOIN messages m ON m.message_id = counted.message_id
ON CONFLICT (message_id, encoding) DO UPDATE SET
    version = excluded.version, full_tokens = excluded.full_tokens,
    compressed_tokens = excluded.compressed_tokens, compressed = excluded.compressed

-- name: request_summary
INSERT INTO summary_requests (agent_run_id, summary_id, overflow) VALUES ($1, $2, $3)
ON CONFLICT (agent_run_id) DO UPDATE SET
    summary_id = excluded.summary_id, overflow = excluded.overflow, requested_at = clock_timestamp()

-- name: fingerprint
-- Of the messages between two places: whoever adds, removes or changes one changes it.
SELECT md5(string_agg(m.message_id::text || md5(m.content::text), ',' ORDER BY m.run_number, m.position))
FROM messages m
WHERE m.thread_id = $1 AND m.account_id = $2 AND m.is_llm_message AND NOT m.hidden AND m.type <> 'summary'
  AND (m.run_number, m.position) > ($3::int, $4::int) AND (m.run_number, m.position) <= ($5::int, $6::int)

-- name: insert_summary
-- Nothing, if another summary stands for the same or carries on the same one, or if that one is void by now.
INSERT INTO messages (
    message_id, thread_id, account_id, run_number, position, agent_run_id, type, content, metadata,
    covers_run_number, covers_position, follows_summary_id
)
SELECT $1, $2, $3, $4, coalesce(max(m.position) + 1, 0), $5, 'summary', $6::jsonb, $7::jsonb, $8, $9, $10
FROM messages m WHERE m.thread_id = $2 AND m.run_number = $4
HAVING $10::uuid IS NULL OR EXISTS (SELECT FROM messages f WHERE f.message_id = $10 AND f.void_at IS NULL)
ON CONFLICT DO NOTHING
RETURNING message_id

-- name: ended_run
SELECT thread_id, number, config FROM agent_runs
WHERE agent_run_id = $1 AND account_id = $2 AND handover_no = $3 AND status NOT IN ('queued', 'running')
