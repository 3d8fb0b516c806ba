-- name: place
-- Where a visible message stands in its thread.
SELECT run_number, position FROM messages
WHERE message_id = $1 AND thread_id = $2 AND account_id = $3 AND NOT hidden

-- name: newest
SELECT message_id FROM messages WHERE thread_id = $1 AND account_id = $2 AND NOT hidden
ORDER BY run_number DESC, position DESC LIMIT 1

-- name: until
-- The last $6 visible messages up to a place, newest first: at most $7 bytes of content, but one message at least; read
-- as for `list` of messages. $5 NULL: up to the end of the run number $4; both NULL: of the whole thread.
WITH RECURSIVE page AS (
    (
        SELECT *, octet_length(content::text)::bigint AS bytes_to_here, 1 AS number FROM messages
        WHERE thread_id = $1 AND account_id = $2 AND NOT hidden
          AND (run_number, position) <= (coalesce($4::int, 2147483647), coalesce($5::int, 2147483647))
          AND ($3::uuid IS NULL OR agent_run_id = $3)
        ORDER BY run_number DESC, position DESC
        LIMIT 1
    )
    UNION ALL
    SELECT next.*, page.bytes_to_here + octet_length(next.content::text), page.number + 1
    FROM page, LATERAL (
        SELECT * FROM messages
        WHERE thread_id = $1 AND account_id = $2 AND NOT hidden
          AND (run_number, position) < (page.run_number, page.position)
          AND ($3::uuid IS NULL OR agent_run_id = $3)
        ORDER BY run_number DESC, position DESC
        LIMIT 1
    ) next
    WHERE page.number < $6 AND page.bytes_to_here < $7
)
SELECT * FROM page WHERE number = 1 OR bytes_to_here <= $7 ORDER BY number

-- name: last_input
-- The place of the last message that a run was started with: those before its first answer.
SELECT m.position FROM messages m
WHERE m.thread_id = $1 AND m.account_id = $2 AND m.run_number = $3 AND NOT m.hidden AND m.type <> 'summary'
  AND m.position < coalesce((
      SELECT min(a.position) FROM messages a
      WHERE a.thread_id = $1 AND a.run_number = $3 AND a.thread_run_id IS NOT NULL
  ), 2147483647)
ORDER BY m.position DESC
LIMIT 1

-- name: interrupts
-- What somebody has to answer, on the threads whose newest run ended with a question: calls that await approval, or the
-- tool `ask` called by the run's last message.
SELECT r.thread_id, r.agent_run_id, e.call_id, e.name, e.arguments, e.status
FROM threads t
JOIN agent_runs r ON r.thread_id = t.thread_id AND r.number = t.last_run_number AND r.status = 'needs_input'
JOIN tool_executions e ON e.thread_id = t.thread_id
WHERE t.thread_id = ANY ($1::uuid[]) AND t.account_id = $2
  AND (
      (e.status = 'awaiting' AND NOT e.answered)
      OR (
          e.status = 'finished' AND e.name = 'ask' AND e.agent_run_id = r.agent_run_id
          AND (e.result ->> 'success')::boolean
          AND e.assistant_message_id = (
              SELECT m.message_id FROM messages m
              WHERE m.thread_id = r.thread_id AND m.agent_run_id = r.agent_run_id AND m.type = 'assistant'
              ORDER BY m.run_number DESC, m.position DESC
              LIMIT 1
          )
      )
  )
ORDER BY r.thread_id, e.call_index
