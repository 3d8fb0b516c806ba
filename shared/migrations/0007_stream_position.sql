-- The last event number before a run, for whoever connects while it is being executed.

ALTER TABLE agent_runs ADD COLUMN begins_after bigint;
