-- name: insert
INSERT INTO assistants (assistant_id, account_id, metadata) VALUES ($1, $2, $3::jsonb)
ON CONFLICT (assistant_id) DO NOTHING
RETURNING assistant_id

-- name: insert_version
INSERT INTO assistant_versions (assistant_id, version, name, description, config) VALUES ($1, $2, $3, $4, $5::jsonb)

-- name: get
SELECT a.assistant_id, a.metadata, a.created_at, a.updated_at, v.version, v.name, v.description, v.config
FROM assistants a JOIN assistant_versions v USING (assistant_id)
WHERE a.assistant_id = $1 AND a.account_id = $2 AND v.version = coalesce($3, a.version)

-- name: page
-- The account's assistants of these ids in these versions, in their order: at most $4 bytes of what is said of them, but
-- one at least; read one by one as for `page` of threads, each once. $5: each was updated when its version was made.
WITH RECURSIVE page AS (
    SELECT 0 AS number, 0::bigint AS bytes_to_here, NULL::uuid AS assistant_id, NULL::jsonb AS metadata,
        NULL::timestamptz AS created_at, NULL::int AS version, NULL::text AS name, NULL::text AS description,
        NULL::jsonb AS config, NULL::timestamptz AS updated_at
    UNION ALL
    SELECT page.number + 1,
        page.bytes_to_here + coalesce(octet_length(a.metadata::text), 0) + coalesce(octet_length(v.config::text), 0)
            + coalesce(octet_length(v.description), 0),
        a.assistant_id, a.metadata, a.created_at, v.version, v.name, v.description, v.config,
        CASE WHEN $5 THEN v.created_at ELSE a.updated_at END
    FROM page
    LEFT JOIN (assistants a JOIN assistant_versions v USING (assistant_id))
        ON a.assistant_id = ($2::uuid[])[page.number + 1] AND a.account_id = $1
            AND v.version = ($3::int[])[page.number + 1]
    WHERE page.number < cardinality($2::uuid[]) AND page.bytes_to_here < $4
)
SELECT number, assistant_id, metadata, created_at, version, name, description, config, updated_at FROM page
WHERE assistant_id IS NOT NULL AND (number = 1 OR bytes_to_here <= $4)
ORDER BY number

-- name: search
SELECT a.assistant_id, a.version
FROM assistants a JOIN assistant_versions v USING (assistant_id, version)
WHERE a.account_id = $1 AND a.metadata @> $2::jsonb
  AND ($3::text IS NULL OR strpos(lower(v.name), lower($3)) > 0)
ORDER BY a.created_at DESC, a.assistant_id
LIMIT $4 OFFSET $5

-- name: search_sorted
-- The same in another order: by the column $6, rising or ($7) falling.
SELECT a.assistant_id, a.version
FROM assistants a JOIN assistant_versions v USING (assistant_id, version)
WHERE a.account_id = $1 AND a.metadata @> $2::jsonb
  AND ($3::text IS NULL OR strpos(lower(v.name), lower($3)) > 0)
ORDER BY
    CASE WHEN $7 AND $6 = 'assistant_id' THEN a.assistant_id END DESC,
    CASE WHEN NOT $7 AND $6 = 'assistant_id' THEN a.assistant_id END,
    CASE WHEN $7 AND $6 = 'name' THEN v.name END DESC,
    CASE WHEN NOT $7 AND $6 = 'name' THEN v.name END,
    CASE WHEN $7 AND $6 = 'created_at' THEN a.created_at WHEN $7 AND $6 = 'updated_at' THEN a.updated_at END DESC,
    CASE WHEN $6 = 'created_at' THEN a.created_at WHEN $6 = 'updated_at' THEN a.updated_at END,
    a.assistant_id
LIMIT $4 OFFSET $5

-- name: count
SELECT count(*)
FROM assistants a JOIN assistant_versions v USING (assistant_id, version)
WHERE a.account_id = $1 AND a.metadata @> $2::jsonb
  AND ($3::text IS NULL OR strpos(lower(v.name), lower($3)) > 0)

-- name: versions
SELECT assistant_id, v.version
FROM assistants a JOIN assistant_versions v USING (assistant_id)
WHERE a.assistant_id = $1 AND a.account_id = $2 AND a.metadata @> $5::jsonb
ORDER BY v.version DESC
LIMIT $3 OFFSET $4

-- name: lock
SELECT assistant_id FROM assistants WHERE assistant_id = $1 AND account_id = $2 FOR UPDATE

-- name: newest
-- A statement after the lock: it has to see the versions of whoever held it.
SELECT max(version) FROM assistant_versions WHERE assistant_id = $1

-- name: set_version
UPDATE assistants SET version = $2, metadata = metadata || $3::jsonb, updated_at = now()
WHERE assistant_id = $1
  AND octet_length((metadata || $3::jsonb)::text) <= greatest($4, octet_length(metadata::text))
RETURNING assistant_id

-- name: delete
DELETE FROM assistants WHERE assistant_id = $1 AND account_id = $2 RETURNING assistant_id

-- name: catalogue
SELECT content FROM catalogue WHERE kind = $1

-- name: write_catalogue
-- Only if it differs: the runner says it at every cold start.
INSERT INTO catalogue (kind, content) VALUES ($1, $2::jsonb)
ON CONFLICT (kind) DO UPDATE SET content = excluded.content, updated_at = now()
WHERE catalogue.content <> excluded.content
