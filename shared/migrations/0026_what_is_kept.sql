-- What the sweep looks for, by its age.

CREATE INDEX logged_events_by_age ON thread_events (created_at) WHERE logged_at IS NOT NULL;
CREATE INDEX ended_api_keys_by_age ON api_keys (least(revoked_at, expires_at))
WHERE least(revoked_at, expires_at) IS NOT NULL;
CREATE INDEX account_usage_by_day ON account_usage (day);
CREATE INDEX drained_instances_by_time ON drained_instances (until);
CREATE INDEX waits_by_time ON waits (expires_at);
CREATE INDEX deleted_accounts_by_day ON deleted_accounts (day) WHERE day IS NOT NULL;
CREATE INDEX deleted_logs_by_age ON deleted_logs (deleted_at);

-- For how long after an append a thread's log may be replayed; NULL: 24 h. No less than a tool may be silent: a log that
-- is gone while its run goes on is declared to be.
ALTER TABLE plans ADD COLUMN replay_s int CHECK (replay_s BETWEEN 900 AND 86400);
CREATE FUNCTION replay_of(of_account text) RETURNS int LANGUAGE sql STABLE AS $$
    SELECT p.replay_s FROM accounts a JOIN plans p USING (plan_id) WHERE a.account_id = of_account
$$;
