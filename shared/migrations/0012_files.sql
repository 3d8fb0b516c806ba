-- Files of threads: their objects are in S3, what they are is here. And what accounts may upload, as data.

ALTER TABLE plans
    ADD COLUMN max_file_bytes bigint NOT NULL DEFAULT 26214400 CHECK (max_file_bytes BETWEEN 1 AND 5368709120),
    ADD COLUMN max_thread_files int NOT NULL DEFAULT 100 CHECK (max_thread_files BETWEEN 0 AND 10000),
    ADD COLUMN file_types text[] NOT NULL DEFAULT ARRAY[
        'application/json', 'application/pdf', 'image/gif', 'image/jpeg', 'image/png', 'image/webp',
        'text/csv', 'text/markdown', 'text/plain'
    ];

CREATE TABLE files (
    file_id uuid PRIMARY KEY,
    thread_id uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES accounts,
    -- The client's name for it; no part of any path.
    name text NOT NULL,
    content_type text NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    object_key text NOT NULL UNIQUE,
    -- Its object has been seen, with this size and type.
    stored_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX files_of_thread ON files (thread_id, created_at, file_id);

-- Objects that have no file, or may come to have none: whoever died on the way, somebody deletes them.
CREATE TABLE file_removals (
    object_key text PRIMARY KEY,
    due_at timestamptz NOT NULL,
    -- Until then somebody may still upload it with a URL that was given out.
    last_at timestamptz NOT NULL
);
CREATE INDEX file_removals_by_time ON file_removals (due_at);

-- A trigger, so that nobody who will ever delete a thread can forget its objects. An upload may begin within 15 minutes
-- of its file's creation, and last for a while.
CREATE FUNCTION remove_object_of_deleted_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO file_removals (object_key, due_at, last_at)
    VALUES (OLD.object_key, clock_timestamp(), OLD.created_at + interval '1 hour')
    ON CONFLICT (object_key) DO UPDATE SET due_at = excluded.due_at;
    RETURN NULL;
END
$$;
CREATE TRIGGER remove_object AFTER DELETE ON files
FOR EACH ROW EXECUTE FUNCTION remove_object_of_deleted_file();
