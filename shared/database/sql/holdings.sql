-- name: threads
SELECT p.plan_id, p.max_threads AS most, (
    SELECT count(*) FROM (SELECT FROM threads WHERE account_id = $1 LIMIT p.max_threads + 1) AS counted
    WHERE p.max_threads IS NOT NULL
) AS held
FROM accounts JOIN plans p USING (plan_id) WHERE account_id = $1

-- name: assistants
SELECT p.plan_id, p.max_assistants AS most, (
    SELECT count(*) FROM (SELECT FROM assistants WHERE account_id = $1 LIMIT p.max_assistants + 1) AS counted
    WHERE p.max_assistants IS NOT NULL
) AS held
FROM accounts JOIN plans p USING (plan_id) WHERE account_id = $1

-- name: versions
SELECT p.plan_id, p.max_assistant_versions AS most
FROM accounts JOIN plans p USING (plan_id) WHERE account_id = $1

-- name: api_keys
SELECT p.plan_id, p.max_api_keys AS most, (
    SELECT count(*) FROM api_keys
    WHERE account_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
) AS held
FROM accounts JOIN plans p USING (plan_id) WHERE account_id = $1

-- name: bytes
SELECT p.plan_id, p.max_record_bytes AS most, (
    SELECT coalesce(sum(b.bytes), 0)::bigint FROM account_bytes b WHERE b.account_id = a.account_id
) AS held
FROM accounts a JOIN plans p USING (plan_id) WHERE a.account_id = $1

-- name: files
-- $2: what stands for the account in names of objects, of those that are about to be files.
SELECT p.plan_id, p.max_files, p.max_stored_bytes, found.count + expected.count AS held,
    (found.bytes + expected.bytes)::bigint AS bytes
FROM accounts JOIN plans p USING (plan_id),
    LATERAL (SELECT count(*), coalesce(sum(size), 0) AS bytes FROM files WHERE account_id = $1) AS found,
    LATERAL (
        SELECT count(*), coalesce(sum(size), 0) AS bytes FROM file_removals
        WHERE split_part(object_key, '/', 2) = $2 AND size IS NOT NULL
    ) AS expected
WHERE account_id = $1
