-- What one account may hold of what all share: requests that wait, and things that are kept.

ALTER TABLE plans
    -- Requests that wait at a time: each holds an environment of the HTTP function.
    ADD COLUMN max_waits int NOT NULL DEFAULT 8 CHECK (max_waits BETWEEN 1 AND 1000),
    ADD COLUMN max_threads int DEFAULT 10000 CHECK (max_threads > 0),
    ADD COLUMN max_assistants int DEFAULT 1000 CHECK (max_assistants > 0),
    -- Of one assistant.
    ADD COLUMN max_assistant_versions int DEFAULT 1000 CHECK (max_assistant_versions > 0),
    -- Keys that are good; as many that are good no more are kept to be looked at.
    ADD COLUMN max_api_keys int DEFAULT 100 CHECK (max_api_keys > 0),
    -- Of all threads together, and their bytes.
    ADD COLUMN max_files int DEFAULT 10000 CHECK (max_files > 0),
    ADD COLUMN max_stored_bytes bigint DEFAULT 10737418240 CHECK (max_stored_bytes > 0),
    -- Of one answer of a model; what it calls beyond them is answered with an error that it can read.
    ADD COLUMN max_answer_tool_calls int NOT NULL DEFAULT 64 CHECK (max_answer_tool_calls BETWEEN 1 AND 10000);

-- Places of what waits, by its kind: so many an account, and each is free again when its time is over, whatever died.
-- Unlogged: after a crash nobody waits any more.
CREATE UNLOGGED TABLE waits (
    account_id text NOT NULL,
    kind text NOT NULL,
    place int NOT NULL,
    wait_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, kind, place)
);

CREATE INDEX files_of_account ON files (account_id) INCLUDE (size);

-- What is stored before it is a file counts as one until it is, or is removed: then it is never one too many. The account
-- is its hash in the object's name.
ALTER TABLE file_removals ADD COLUMN size bigint;
CREATE INDEX file_removals_expected ON file_removals (split_part(object_key, '/', 2)) INCLUDE (size)
WHERE size IS NOT NULL;
