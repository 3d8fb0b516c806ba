-- name: add
INSERT INTO thread_events (thread_id, agent_run_id, channel, data, timestamp_ms)
SELECT $1, fact.agent_run_id, fact.channel, fact.data::jsonb, fact.timestamp_ms
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY
    AS fact (agent_run_id, channel, data, timestamp_ms, place)
ORDER BY fact.place

-- name: hold_epoch
-- Whoever numbers a fact holds the thread's newest epoch until that is committed.
SELECT 1 FROM threads WHERE thread_id = $1 AND coalesce(generation, thread_id) = $2 AND epoch = $3 FOR SHARE

-- name: number
-- The thread's facts without a number get the next ones, $3 of them at most.
UPDATE thread_events e SET seq = $2 + pending.place
FROM (
    SELECT event_no, row_number() OVER (ORDER BY event_no) AS place FROM thread_events
    WHERE thread_id = $1 AND logged_at IS NULL AND seq IS NULL
    ORDER BY event_no
    LIMIT $3
) pending
WHERE e.event_no = pending.event_no

-- name: unlogged
-- Numbered, and not known to be in the log; but for those that the caller has in hand.
SELECT * FROM thread_events
WHERE thread_id = $1 AND logged_at IS NULL AND seq IS NOT NULL AND NOT event_no = ANY ($2::bigint[])
ORDER BY seq

-- name: at_hand
-- Between two numbers: what is owed to the log, and of what the log had the newest that follow one another, a run's end
-- being the last. Of this life of the thread: its rows go with it.
WITH numbered AS (
    SELECT e.*, e.seq - row_number() OVER (ORDER BY e.seq) AS island
    FROM thread_events e JOIN threads t USING (thread_id)
    WHERE t.thread_id = $1 AND coalesce(t.generation, t.thread_id) = $2 AND e.seq > $3 AND e.seq < $4
)
SELECT * FROM numbered
WHERE logged_at IS NULL OR island = (SELECT island FROM numbered ORDER BY seq DESC LIMIT 1)
ORDER BY seq
LIMIT $5

-- name: logged
UPDATE thread_events SET logged_at = clock_timestamp() WHERE event_no = ANY ($1::bigint[]) AND logged_at IS NULL

-- name: has_unlogged
SELECT 1 FROM thread_events WHERE thread_id = $1 AND logged_at IS NULL LIMIT 1
