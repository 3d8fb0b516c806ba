-- name: insert
INSERT INTO agent_runs (
    agent_run_id, thread_id, account_id, number, assistant_id, model, config, metadata, multitask_strategy,
    not_before, dispatched_at
)
VALUES (
    $1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb, $9,
    now() + make_interval(secs => $10), now() + make_interval(secs => $10)
)
RETURNING *

-- name: number_thread
-- Clients look for the threads of an assistant by these two keys.
UPDATE threads
SET last_run_number = $2, updated_at = now(),
    metadata = metadata || jsonb_build_object('graph_id', 'agent', 'assistant_id', $3::text)
WHERE thread_id = $1

-- name: unfinished_of_account
SELECT agent_run_id, thread_id
FROM agent_runs
WHERE account_id = $1 AND status IN ('queued', 'running') AND status = ANY ($4)
  AND ($2::uuid IS NULL OR thread_id = $2) AND ($3::uuid[] IS NULL OR agent_run_id = ANY ($3))
ORDER BY created_at
LIMIT $5

-- name: delete
-- And hide its events, from everybody but the thread's account, until they are removed, which is noted. Runs are executed
-- one after the other, though not always in the order of their numbers: its events end before those of the next one begin.
-- Behind the last one somebody may hold numbers that are not used yet. The caller holds the thread's row lock.
WITH gone AS (
    DELETE FROM agent_runs
    WHERE agent_run_id = $1 AND thread_id = $2 AND account_id = $3 AND status NOT IN ('queued', 'running')
    RETURNING agent_run_id, thread_id, begins_after
), followed AS (
    SELECT gone.*, (
        SELECT min(r.begins_after) FROM agent_runs r
        WHERE r.thread_id = gone.thread_id AND r.begins_after > gone.begins_after
    ) AS next_begins_after
    FROM gone WHERE gone.begins_after IS NOT NULL
), hidden AS (
    UPDATE threads t
    SET public_after_seq = greatest(t.public_after_seq, coalesce(followed.next_begins_after, t.reserved_seq))
    FROM followed WHERE t.thread_id = followed.thread_id
), noted AS (
    INSERT INTO deleted_events (agent_run_id, thread_id, first_seq, last_seq)
    SELECT followed.agent_run_id, t.thread_id, followed.begins_after + 1,
        coalesce(followed.next_begins_after, t.last_seq)
    FROM followed JOIN threads t USING (thread_id)
    -- One that has said nothing leaves nothing.
    WHERE coalesce(followed.next_begins_after, t.last_seq) > followed.begins_after
    RETURNING agent_run_id, first_seq, last_seq
)
SELECT gone.agent_run_id, noted.first_seq, noted.last_seq FROM gone LEFT JOIN noted USING (agent_run_id)

-- name: get
SELECT * FROM agent_runs WHERE agent_run_id = $1 AND account_id = $2 AND ($3::uuid IS NULL OR thread_id = $3)

-- name: list
-- A page of at most $6 bytes of metadata and errors, but of one run at least; read as for `list` of messages, and without
-- configurations, which are not answered.
WITH RECURSIVE page AS (
    (
        SELECT agent_run_id, number AS run_number, 1 AS number,
            (octet_length(metadata::text) + coalesce(octet_length(error::text), 0))::bigint AS bytes_to_here
        FROM agent_runs
        WHERE thread_id = $1 AND account_id = $2 AND ($3::text[] IS NULL OR status = ANY ($3))
        ORDER BY run_number DESC
        LIMIT 1 OFFSET $5
    )
    UNION ALL
    SELECT next.agent_run_id, next.run_number, page.number + 1, page.bytes_to_here + next.bytes
    FROM page, LATERAL (
        SELECT agent_run_id, number AS run_number,
            octet_length(metadata::text) + coalesce(octet_length(error::text), 0) AS bytes
        FROM agent_runs
        WHERE thread_id = $1 AND account_id = $2 AND ($3::text[] IS NULL OR status = ANY ($3))
          AND agent_runs.number < page.run_number
        ORDER BY run_number DESC
        LIMIT 1
    ) next
    WHERE page.number < $4 AND page.bytes_to_here < $6
)
SELECT r.agent_run_id, r.thread_id, r.account_id, r.number, r.status, r.assistant_id, r.model, r.metadata,
    r.multitask_strategy, r.error, r.usage, r.created_at, r.updated_at, r.started_at, r.ended_at
FROM page JOIN agent_runs r USING (agent_run_id)
WHERE page.number = 1 OR page.bytes_to_here <= $6
ORDER BY page.number

-- name: newest
SELECT t.last_run_number, r.status, r.assistant_id, r.config FROM threads t
JOIN LATERAL (
    SELECT status, assistant_id, config FROM agent_runs WHERE thread_id = t.thread_id ORDER BY number DESC LIMIT 1
) r ON true
WHERE t.thread_id = $1 AND t.account_id = $2

-- name: lock_thread_of
-- Lock order: thread, then run. The account is the message's: a forged one finds nothing. NO KEY: see threads.sql.
SELECT t.thread_id FROM threads t
JOIN agent_runs r USING (thread_id)
WHERE r.agent_run_id = $1 AND r.account_id = $2
FOR NO KEY UPDATE OF t

-- name: claim
-- By an instance that is not drained. Queued, due, wanted, and next on its thread; or running under a lease that ended (a crash) or was released (a
-- hand-over). Raises the fence of its writes (attempt) and of its thread's log (epoch), and reserves numbers for
-- events: from the last one after a clean end, else from the end of what was reserved.
WITH free AS (
    SELECT r.agent_run_id FROM agent_runs r
    WHERE r.agent_run_id = $1
      AND r.executor = $2
      AND ($4::int IS NULL OR r.handover_no = $4)
      AND NOT EXISTS (
          SELECT FROM drained_instances d WHERE d.instance_id = $6::uuid AND d.until > clock_timestamp()
      )
      AND (
          (
              r.status = 'queued' AND r.not_before <= clock_timestamp() AND r.stop_requested IS NULL
              AND NOT EXISTS (
                  SELECT FROM agent_runs earlier
                  WHERE earlier.thread_id = r.thread_id AND earlier.number < r.number
                    AND earlier.status = 'queued' AND earlier.not_before <= clock_timestamp()
              )
          )
          OR (r.status = 'running' AND (r.lease_expires_at IS NULL OR r.lease_expires_at < clock_timestamp()))
      )
    FOR UPDATE
), claimed AS (
    UPDATE agent_runs r SET
        status = 'running',
        attempt = attempt + 1,
        instance_id = $6,
        crashes = crashes + CASE WHEN status = 'running' AND lease_expires_at IS NOT NULL THEN 1 ELSE 0 END,
        lease_expires_at = clock_timestamp() + make_interval(secs => $3),
        started_at = coalesce(started_at, clock_timestamp()),
        waited_s = waited_s + greatest(0, coalesce(
            extract(epoch FROM clock_timestamp() - coalesce(lease_expires_at, released_at))::float8, 0
        )),
        released_at = NULL,
        begins_after = coalesce(begins_after, (SELECT reserved_seq FROM threads WHERE thread_id = r.thread_id)),
        updated_at = clock_timestamp()
    FROM free WHERE r.agent_run_id = free.agent_run_id
    RETURNING r.*
), numbered AS (
    UPDATE threads t SET
        epoch = t.epoch + 1,
        last_seq = t.reserved_seq,
        reserved_seq = t.reserved_seq + $5
    FROM claimed WHERE t.thread_id = claimed.thread_id
    RETURNING t.thread_id, coalesce(t.generation, t.thread_id) AS generation, t.epoch, t.last_seq, t.reserved_seq
)
SELECT claimed.*, numbered.generation, numbered.epoch, numbered.last_seq, numbered.reserved_seq,
    replay_of(claimed.account_id) AS replay_s,
    claimed.crashes > before.crashes AS taken_over,
    extract(epoch FROM clock_timestamp() - claimed.started_at)::float8 - claimed.waited_s AS running_s
FROM claimed JOIN numbered USING (thread_id) JOIN agent_runs before USING (agent_run_id)

-- name: hold
-- Whoever writes for a run holds its row under a live lease of its own attempt until the write is committed. KEY SHARE:
-- many writes may overlap without end, and a renewal or a request to stop waits for none of them. What takes the run
-- away, or ends it, waits for all: it locks the row FOR UPDATE.
SELECT 1 FROM agent_runs
WHERE agent_run_id = $1 AND attempt = $2 AND status = 'running' AND lease_expires_at > clock_timestamp()
FOR KEY SHARE

-- name: renew
-- One statement for every run that a process holds; what it does not return is lost.
UPDATE agent_runs r SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
FROM unnest($1::uuid[], $2::int[]) AS held (agent_run_id, attempt)
WHERE r.agent_run_id = held.agent_run_id AND r.attempt = held.attempt
  AND r.status = 'running' AND r.lease_expires_at > clock_timestamp()
RETURNING r.agent_run_id, r.stop_requested, EXISTS (
    SELECT FROM thread_events e WHERE e.thread_id = r.thread_id AND e.logged_at IS NULL AND e.seq IS NULL
) AS has_facts, EXISTS (
    SELECT FROM drained_instances d WHERE d.instance_id = r.instance_id AND d.until > clock_timestamp()
) AS drained

-- name: reserve_seq
UPDATE threads SET reserved_seq = reserved_seq + $4
WHERE thread_id = $1 AND coalesce(generation, thread_id) = $2 AND epoch = $3
RETURNING reserved_seq

-- name: is_newest_epoch
SELECT 1 FROM threads WHERE thread_id = $1 AND coalesce(generation, thread_id) = $2 AND epoch = $3

-- name: adopt_log
-- Where nobody holds a run of the thread, whoever has facts to append takes the log. The caller holds the thread's row
-- lock since an earlier statement: this one has to see the lease of whoever it waited for.
UPDATE threads t SET epoch = t.epoch + 1, last_seq = t.reserved_seq, reserved_seq = t.reserved_seq + $3
WHERE t.thread_id = $1 AND t.account_id = $2 AND NOT EXISTS (
    SELECT FROM agent_runs r
    WHERE r.thread_id = t.thread_id AND r.status = 'running' AND r.lease_expires_at > clock_timestamp()
)
RETURNING t.thread_id, coalesce(t.generation, t.thread_id) AS generation, t.account_id, t.epoch, t.last_seq,
    t.reserved_seq, replay_of(t.account_id) AS replay_s

-- name: close_log
-- A clean end or hand-over: the exact last number, nothing reserved beyond it.
UPDATE threads SET last_seq = $4, reserved_seq = $4, updated_at = now()
WHERE thread_id = $1 AND coalesce(generation, thread_id) = $2 AND epoch = $3

-- name: held
-- The run of whoever ends it as its holder.
SELECT * FROM agent_runs
WHERE agent_run_id = $1 AND attempt = $2 AND status = 'running' AND lease_expires_at > clock_timestamp()
FOR UPDATE

-- name: end
-- Of a run whose row is locked. Taken from whoever held it ($4 = 1), who may wake up later, it has another attempt.
UPDATE agent_runs SET
    status = $2, error = $3::jsonb, attempt = attempt + $4,
    usage = usage_of_run(thread_id, number),
    lease_expires_at = NULL, ended_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE agent_run_id = $1
RETURNING *

-- name: hand_over
UPDATE agent_runs SET
    executor = 'workflow', handover_no = handover_no + 1,
    wake_by = clock_timestamp() + make_interval(secs => $3),
    lease_expires_at = NULL, released_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE agent_run_id = (
    SELECT agent_run_id FROM agent_runs
    WHERE agent_run_id = $1 AND attempt = $2 AND status = 'running' AND lease_expires_at > clock_timestamp()
    FOR UPDATE
)
RETURNING handover_no

-- name: release
-- By a holder that something else than the run has kept from going on, also after its lease has ended: the next claim
-- takes no crash for it.
UPDATE agent_runs SET lease_expires_at = NULL, released_at = least(lease_expires_at, clock_timestamp())
WHERE agent_run_id = $1 AND attempt = $2 AND status = 'running' AND lease_expires_at IS NOT NULL

-- name: progressed
-- Whatever executors have died of before, they got further than that.
UPDATE agent_runs SET crashes = 0 WHERE agent_run_id = $1 AND attempt = $2 AND crashes > 0

-- name: next_queued
-- The run of the thread that a claim would accept now, if nothing of it is running.
SELECT * FROM agent_runs r
WHERE r.thread_id = $1 AND r.status = 'queued' AND r.not_before <= clock_timestamp() AND r.stop_requested IS NULL
  AND NOT EXISTS (SELECT FROM agent_runs other WHERE other.thread_id = $1 AND other.status = 'running')
ORDER BY r.number
LIMIT 1

-- name: settled
-- What there is to tell of the run is in the log, and the thread's next run was dispatched.
UPDATE agent_runs r SET settled_at = clock_timestamp()
WHERE r.agent_run_id = $1 AND r.settled_at IS NULL AND r.status NOT IN ('queued', 'running')
  AND NOT EXISTS (SELECT FROM thread_events e WHERE e.agent_run_id = r.agent_run_id AND e.logged_at IS NULL)
RETURNING r.agent_run_id

-- name: take_back
-- A hand-over that nobody woke up for: the queue's runner may claim the run again.
UPDATE agent_runs SET executor = 'queue', handover_no = handover_no + 1, wake_by = NULL, updated_at = clock_timestamp()
WHERE agent_run_id = (
    SELECT agent_run_id FROM agent_runs
    WHERE agent_run_id = $1 AND status = 'running' AND executor = 'workflow'
      AND wake_by < clock_timestamp() AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())
    FOR UPDATE
)

-- name: dispatched
UPDATE agent_runs SET dispatched_at = clock_timestamp() WHERE agent_run_id = $1

-- name: watch
-- What the watch decides by, on the database's clock. Blocked: another run of the thread comes first.
SELECT *,
    EXISTS (
        SELECT FROM agent_runs other
        WHERE other.thread_id = agent_runs.thread_id AND other.agent_run_id <> agent_runs.agent_run_id
          AND (
              other.status = 'running'
              OR (
                  other.status = 'queued' AND other.number < agent_runs.number
                  AND other.not_before <= clock_timestamp()
              )
          )
    ) AS blocked,
    extract(epoch FROM clock_timestamp() - ended_at)::float8 AS since_end_s,
    extract(epoch FROM lease_expires_at - clock_timestamp())::float8 AS lease_left_s,
    extract(epoch FROM clock_timestamp() - released_at)::float8 AS since_release_s,
    extract(epoch FROM wake_by - clock_timestamp())::float8 AS wake_left_s,
    extract(epoch FROM not_before - clock_timestamp())::float8 AS due_in_s,
    extract(epoch FROM clock_timestamp() - dispatched_at)::float8 AS since_dispatch_s
FROM agent_runs WHERE agent_run_id = $1 AND account_id = $2

-- name: lease_held
SELECT 1 FROM agent_runs
WHERE agent_run_id = $1 AND handover_no = $2 AND executor = 'workflow'
  AND status = 'running' AND lease_expires_at > clock_timestamp()

-- name: unheld
-- The run, if nobody holds it: it has not begun, or its lease was released or has ended. $2, $3: only if it is still
-- handed over by this number.
SELECT * FROM agent_runs
WHERE agent_run_id = $1
  AND (
      status = 'queued'
      OR (status = 'running' AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp()))
  )
  AND ($2::text IS NULL OR executor = $2) AND ($3::int IS NULL OR handover_no = $3)
FOR UPDATE

-- name: request_stop
-- The first request stands, but a rollback overrides it: it asks for more.
UPDATE agent_runs SET
    stop_requested = CASE WHEN $2 = 'rollback' OR stop_requested IS NULL THEN $2 ELSE stop_requested END,
    updated_at = clock_timestamp()
WHERE agent_run_id = $1 AND status IN ('queued', 'running')

-- name: asked_of_holder
SELECT stop_requested, EXISTS (
    SELECT FROM drained_instances d WHERE d.instance_id = agent_runs.instance_id AND d.until > clock_timestamp()
) AS drained
FROM agent_runs WHERE agent_run_id = $1 AND attempt = $2

-- name: unfinished_of_thread
SELECT * FROM agent_runs WHERE thread_id = $1 AND account_id = $2 AND status IN ('queued', 'running')
ORDER BY number

-- name: hide_messages
-- Of a run that is rolled back.
UPDATE messages SET hidden = true WHERE agent_run_id = $1 AND type <> 'summary' AND NOT hidden
