-- name: insert
-- The next position in the thread's run number $4.
INSERT INTO messages (
    message_id, thread_id, account_id, run_number, position, agent_run_id, thread_run_id,
    type, is_llm_message, content, metadata, covers_run_number, covers_position
)
SELECT $1, $2, $3, $4, coalesce(max(m.position) + 1, 0), $5, $6, $7, $8, $9::jsonb, $10::jsonb, $11::int, $12::int
FROM messages m WHERE m.thread_id = $2 AND m.run_number = $4
RETURNING *

-- name: replace
-- What an open message has become. Its counts are void.
UPDATE messages SET content = $2::jsonb, metadata = $3::jsonb WHERE message_id = $1

-- name: charge
UPDATE messages SET metadata = metadata || $2::jsonb WHERE message_id = $1

-- name: content
SELECT content FROM messages WHERE message_id = $1 AND thread_id = $2 AND account_id = $3

-- name: turns
-- How often the model has answered in a run, and how many of its last answers were cut off at their length.
WITH answers AS (
    SELECT position, metadata ->> 'finish_reason' = 'length' AS cut
    FROM messages WHERE thread_id = $1 AND run_number = $2 AND agent_run_id = $3 AND type = 'assistant'
)
SELECT count(*) AS turns,
       count(*) FILTER (WHERE cut AND position > coalesce((SELECT max(position) FROM answers WHERE NOT cut), -1)) AS cut
FROM answers

-- name: last_of_run
SELECT type, metadata, CASE
    WHEN type = 'tool' THEN (metadata ->> 'assistant_message_id')::uuid ELSE message_id
END AS assistant_message_id
FROM messages
WHERE thread_id = $1 AND run_number = $2 AND agent_run_id = $3 AND type <> 'summary'
ORDER BY position DESC
LIMIT 1

-- name: list
-- A page of at most $5 bytes of content, but of one message at least. Messages are read one by one until it is full: what
-- an answer has no room for is not even rendered.
WITH RECURSIVE page AS (
    (
        SELECT *, octet_length(content::text)::bigint AS bytes_to_here, 1 AS number FROM messages
        WHERE thread_id = $1 AND account_id = $2 AND NOT hidden
        ORDER BY run_number, position
        LIMIT 1 OFFSET $4
    )
    UNION ALL
    SELECT next.*, page.bytes_to_here + octet_length(next.content::text), page.number + 1
    FROM page, LATERAL (
        SELECT * FROM messages
        WHERE thread_id = $1 AND account_id = $2 AND NOT hidden
          AND (run_number, position) > (page.run_number, page.position)
        ORDER BY run_number, position
        LIMIT 1
    ) next
    WHERE page.number < $3 AND page.bytes_to_here < $5
)
SELECT * FROM page WHERE number = 1 OR bytes_to_here <= $5 ORDER BY number
