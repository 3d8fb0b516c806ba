-- From which event on a public thread's stream is everybody's: what was said while it was private, or in a run that was
-- rolled back or deleted, is in the log still, and its account's only.

ALTER TABLE threads ADD COLUMN public_after_seq bigint NOT NULL DEFAULT 0;
UPDATE threads SET public_after_seq = reserved_seq WHERE is_public;
