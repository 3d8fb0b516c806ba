-- A run that waits for its next executor is not being executed: `released_at` is since when, if its lease was given back,
-- and `waited_s` how long it has waited in all, which its time limit does not count.
ALTER TABLE agent_runs ADD COLUMN released_at timestamptz;
ALTER TABLE agent_runs ADD COLUMN waited_s float8 NOT NULL DEFAULT 0;
