-- name: add
INSERT INTO sender_calls AS c (account_id, thread_id)
SELECT account_id, thread_id FROM threads WHERE thread_id = $1 AND account_id = $2
ON CONFLICT (thread_id) DO UPDATE SET called_at = clock_timestamp()

-- name: add_others
INSERT INTO reader_calls AS c (account_id, thread_id)
SELECT $2, thread_id FROM threads WHERE thread_id = $1 AND is_public
ON CONFLICT (account_id, thread_id) DO UPDATE SET called_at = clock_timestamp()

-- name: next
-- Any of them, those next to $2, which is drawn: of two who look at once, each rather has another one.
SELECT thread_id, called_at, is_others FROM (
    (SELECT thread_id, called_at, false AS is_others FROM sender_calls
        WHERE account_id = $1 AND thread_id >= $2 ORDER BY thread_id LIMIT 1)
    UNION ALL
    (SELECT thread_id, called_at, false FROM sender_calls
        WHERE account_id = $1 AND thread_id < $2 ORDER BY thread_id DESC LIMIT 1)
    UNION ALL
    (SELECT thread_id, called_at, true FROM reader_calls
        WHERE account_id = $1 AND thread_id >= $2 ORDER BY thread_id LIMIT 1)
    UNION ALL
    (SELECT thread_id, called_at, true FROM reader_calls
        WHERE account_id = $1 AND thread_id < $2 ORDER BY thread_id DESC LIMIT 1)
) AS calls
ORDER BY random() LIMIT 1

-- name: answered
-- Unless it has called again.
DELETE FROM sender_calls WHERE thread_id = $1 AND account_id = $2 AND called_at = $3

-- name: answered_others
DELETE FROM reader_calls WHERE thread_id = $1 AND account_id = $2 AND called_at = $3
