-- What an account may use, as data: to change a plan's row changes it for every account of the plan, from now on.

CREATE TABLE plans (
    plan_id text PRIMARY KEY,
    -- Queued and running runs of one account at a time.
    max_unfinished_runs int NOT NULL CHECK (max_unfinished_runs > 0)
);
INSERT INTO plans (plan_id, max_unfinished_runs) VALUES ('default', 3);

ALTER TABLE accounts ADD COLUMN plan_id text NOT NULL DEFAULT 'default' REFERENCES plans;
