-- name: ensure_account
-- Its row is locked either way, and not changed.
INSERT INTO accounts AS a (account_id) VALUES ($1) ON CONFLICT (account_id) DO UPDATE SET plan_id = a.plan_id WHERE false

-- name: is_being_deleted
SELECT deleting_at IS NOT NULL FROM accounts WHERE account_id = $1

-- name: create
INSERT INTO threads (thread_id, account_id, metadata, is_public) VALUES ($1, $2, $3::jsonb, $4)
ON CONFLICT (thread_id) DO NOTHING
RETURNING thread_id

-- name: get
SELECT t.*, status_of_thread(t) AS run_status FROM threads t WHERE t.thread_id = $1 AND t.account_id = $2

-- name: owner
-- Whose it is, for whoever may read it.
SELECT account_id FROM threads WHERE thread_id = $1 AND (is_public OR account_id = $2)

-- name: log
SELECT thread_id, coalesce(generation, thread_id) AS generation FROM threads WHERE thread_id = $1 AND account_id = $2

-- name: page
-- The account's threads of these ids, in their order: at most $3 bytes of metadata, but one thread at least. They are read
-- one by one until that is full: what an answer has no room for is not even rendered. number: the place of its id.
WITH RECURSIVE page AS (
    SELECT 0 AS number, 0::bigint AS bytes_to_here
    UNION ALL
    SELECT page.number + 1, page.bytes_to_here + coalesce((
        SELECT octet_length(t.metadata::text) FROM threads t
        WHERE t.thread_id = ($2::uuid[])[page.number + 1] AND t.account_id = $1
    ), 0)
    FROM page
    WHERE page.number < cardinality($2::uuid[]) AND page.bytes_to_here < $3
)
SELECT page.number, t.*, status_of_thread(t) AS run_status
FROM page JOIN threads t ON t.thread_id = ($2::uuid[])[page.number] AND t.account_id = $1
WHERE page.number = 1 OR page.bytes_to_here <= $3
ORDER BY page.number

-- name: search
SELECT t.thread_id FROM threads t
WHERE t.account_id = $1 AND t.metadata @> $2::jsonb AND ($3::uuid[] IS NULL OR t.thread_id = ANY ($3))
ORDER BY t.created_at DESC, t.thread_id
LIMIT $4 OFFSET $5

-- name: search_by_status
-- $6: status words of the newest run; the empty word stands for "no run yet". Of each as many as may be shown, so that
-- no more is read, however many threads there are; and all that have none noted, which are older. A word is a range of
-- one: were it equal, the account's threads in the same order would do for the planner, which are read to their end for a
-- word that few have.
WITH noted AS (
    SELECT found.thread_id FROM unnest($6::text[]) AS wanted (word) CROSS JOIN LATERAL (
        SELECT t.thread_id FROM threads t
        WHERE t.account_id = $1 AND t.last_run_status BETWEEN wanted.word AND wanted.word AND t.metadata @> $2::jsonb
          AND ($3::uuid[] IS NULL OR t.thread_id = ANY ($3))
        ORDER BY t.last_run_status, t.created_at DESC, t.thread_id
        LIMIT $4::bigint + $5::bigint
    ) AS found
), older AS (
    SELECT t.thread_id FROM threads t
    WHERE t.account_id = $1 AND t.last_run_status IS NULL AND t.metadata @> $2::jsonb
      AND ($3::uuid[] IS NULL OR t.thread_id = ANY ($3)) AND status_of_thread(t) = ANY ($6)
)
SELECT t.thread_id
FROM (SELECT thread_id FROM noted UNION ALL SELECT thread_id FROM older) AS found JOIN threads t USING (thread_id)
ORDER BY t.created_at DESC, t.thread_id
LIMIT $4 OFFSET $5

-- name: search_sorted
-- In another order: by the column $7, rising or ($8) falling; $6 as above, NULL for all.
SELECT t.thread_id FROM threads t
WHERE t.account_id = $1 AND t.metadata @> $2::jsonb AND ($3::uuid[] IS NULL OR t.thread_id = ANY ($3))
  AND ($6::text[] IS NULL OR status_of_thread(t) = ANY ($6))
ORDER BY
    CASE WHEN $8 AND $7 = 'thread_id' THEN t.thread_id END DESC,
    CASE WHEN NOT $8 AND $7 = 'thread_id' THEN t.thread_id END,
    CASE WHEN $8 AND $7 = 'status' THEN status_of_thread(t) END DESC,
    CASE WHEN NOT $8 AND $7 = 'status' THEN status_of_thread(t) END,
    CASE WHEN $8 AND $7 = 'created_at' THEN t.created_at WHEN $8 AND $7 = 'updated_at' THEN t.updated_at END DESC,
    CASE WHEN $7 = 'created_at' THEN t.created_at WHEN $7 = 'updated_at' THEN t.updated_at END,
    t.thread_id
LIMIT $4 OFFSET $5

-- name: count
SELECT count(*) FROM threads t
WHERE t.account_id = $1 AND t.metadata @> $2::jsonb AND ($3::text[] IS NULL OR status_of_thread(t) = ANY ($3))
  AND ($4::uuid[] IS NULL OR t.thread_id = ANY ($4))

-- name: update
-- What is too large already may stay, and not grow.
UPDATE threads SET
    metadata = metadata || $3::jsonb,
    is_public = coalesce($4, is_public),
    updated_at = now()
WHERE thread_id = $1 AND account_id = $2
  AND octet_length((metadata || $3::jsonb)::text) <= greatest($5, octet_length(metadata::text))
RETURNING thread_id

-- name: bound_end
-- The run $3 has ended at the number behind $4. Its end is everybody's; all before it is not, if it is to be hidden ($5)
-- or went on when the thread was made public: it began before what is everybody's.
UPDATE threads t SET public_after_seq = $4
FROM agent_runs r
WHERE t.thread_id = $1 AND coalesce(t.generation, t.thread_id) = $2
  AND r.agent_run_id = $3 AND r.thread_id = t.thread_id
  AND (r.begins_after < t.public_after_seq OR ($5 AND r.begins_after IS NOT NULL))

-- name: public
SELECT account_id, coalesce(generation, thread_id) AS generation, public_after_seq
FROM threads WHERE thread_id = $1 AND is_public

-- name: delete
DELETE FROM threads t
WHERE t.thread_id = $1 AND t.account_id = $2
  AND NOT EXISTS (
      SELECT FROM agent_runs r WHERE r.thread_id = t.thread_id AND r.status IN ('queued', 'running')
  )
RETURNING coalesce(t.generation, t.thread_id)

-- name: lock
-- The row lock under which runs and messages of a thread get their numbers. NO KEY: a message's reference to its
-- thread takes a key share, and whoever holds a run's row would otherwise wait here against the lock order.
SELECT thread_id, last_run_number FROM threads WHERE thread_id = $1 AND account_id = $2 FOR NO KEY UPDATE

-- name: lock_with_account
-- Lock order: account, thread, run. The thread's lock is taken on a row that is joined from the locked account's, so
-- after it. An account that is being deleted records nothing more. NO KEY: whatever refers to the account takes a key share, and must not wait here.
WITH account AS MATERIALIZED (
    SELECT account_id FROM accounts WHERE account_id = $2 AND deleting_at IS NULL FOR NO KEY UPDATE
)
SELECT t.thread_id, t.last_run_number FROM account JOIN threads t USING (account_id)
WHERE t.thread_id = $1
FOR NO KEY UPDATE OF t

-- name: stream_position
-- Where the thread's events stand. begins_after: of the run that is being executed, whoever holds it.
SELECT t.thread_id, coalesce(t.generation, t.thread_id) AS generation, t.last_seq, t.reserved_seq, r.begins_after,
    coalesce(r.lease_expires_at > clock_timestamp(), false) AS held
FROM threads t LEFT JOIN agent_runs r ON r.thread_id = t.thread_id AND r.status = 'running'
WHERE t.thread_id = $1 AND t.account_id = $2
