-- A public thread is read by every account, and written by its own only.

ALTER TABLE threads ADD COLUMN is_public boolean NOT NULL DEFAULT false;
