-- Each removes at most $1 rows, the oldest first; what somebody else is busy with is left to the next sweep. By their
-- places: joined by a key, the whole table would be read for a batch that the planner takes for large. And by now(): an
-- index is not searched for what clock_timestamp() says, which may say another thing for every row.

-- name: events
-- The log remembers for 24 hours; so do its facts.
DELETE FROM thread_events WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM thread_events
    WHERE logged_at IS NOT NULL AND created_at < now() - interval '24 hours'
    ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED
))

-- name: idempotency_keys
-- After a day a key is new.
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at < now() - interval '24 hours'
    ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED
))

-- name: api_keys
-- Keys that are good no more are kept to be looked at.
DELETE FROM api_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM api_keys WHERE least(revoked_at, expires_at) < now() - interval '90 days'
    ORDER BY least(revoked_at, expires_at) LIMIT $1 FOR UPDATE SKIP LOCKED
))

-- name: usage_days
-- A year and a month: a bill may be of the year before.
DELETE FROM account_usage WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM account_usage WHERE day < (now() AT TIME ZONE 'UTC')::date - 400
    ORDER BY day LIMIT $1 FOR UPDATE SKIP LOCKED
))

-- name: waits
-- Whose time is over: nobody waits any more, whatever died.
DELETE FROM waits WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM waits WHERE expires_at < now() - interval '1 hour'
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
))

-- name: reader_calls
-- The longest life of a connection: nobody is there any more who waits.
DELETE FROM reader_calls WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM reader_calls WHERE called_at < now() - interval '2 hours'
    ORDER BY called_at LIMIT $1 FOR UPDATE SKIP LOCKED
))

-- name: drained_instances
DELETE FROM drained_instances WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM drained_instances WHERE until < now()
    ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED
))

-- name: deleted_accounts
-- What they had used on a day that is over.
DELETE FROM deleted_accounts WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM deleted_accounts WHERE day < (now() AT TIME ZONE 'UTC')::date AND plan_id IS NULL
    ORDER BY day LIMIT $1 FOR UPDATE SKIP LOCKED
))

-- name: days_of_deleted_accounts
-- An operator's plan stays.
UPDATE deleted_accounts SET day = NULL, tokens = NULL, cost_usd = NULL WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM deleted_accounts WHERE day < (now() AT TIME ZONE 'UTC')::date AND plan_id IS NOT NULL
    ORDER BY day LIMIT $1 FOR UPDATE SKIP LOCKED
))
