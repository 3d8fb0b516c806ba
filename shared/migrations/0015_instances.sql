-- Which environment of a runner holds a run, and which of them are to take no more. No index: the runs that are being
-- executed have one (one_running_run_a_thread), and they are few.

ALTER TABLE agent_runs ADD COLUMN instance_id uuid;

CREATE TABLE drained_instances (
    instance_id uuid PRIMARY KEY,
    until timestamptz NOT NULL
);
