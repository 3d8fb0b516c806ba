-- A public thread is read by every account, and written by its own only.

ALTER TABLE threads ADD COLUMN is_public boolean NOT NULL DEFAULT false;

-- An account that is being deleted. Its row goes last, and with it this mark.

ALTER TABLE accounts ADD COLUMN deleting_at timestamptz;
CREATE INDEX idempotency_keys_of_account ON idempotency_keys (account_id);
