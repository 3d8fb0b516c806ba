-- Since when a deleted run's events should be gone: the sweep removes those whose message was lost.

ALTER TABLE deleted_events ADD COLUMN deleted_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX deleted_events_by_age ON deleted_events (deleted_at);
