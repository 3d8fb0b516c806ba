-- What the sweep looks for, by its age.

CREATE INDEX logged_events_by_age ON thread_events (created_at) WHERE logged_at IS NOT NULL;
CREATE INDEX ended_api_keys_by_age ON api_keys (least(revoked_at, expires_at))
WHERE least(revoked_at, expires_at) IS NOT NULL;
CREATE INDEX account_usage_by_day ON account_usage (day);
CREATE INDEX drained_instances_by_time ON drained_instances (until);
CREATE INDEX waits_by_time ON waits (expires_at);
CREATE INDEX deleted_accounts_by_day ON deleted_accounts (day) WHERE day IS NOT NULL;
CREATE INDEX deleted_logs_by_age ON deleted_logs (deleted_at);
