-- name: take
-- A free place, if this account has one. Of two who want the same one the second gets none and asks again: no place is
-- ever held twice, and so never one too many. Any free place: those who come at once rarely want the same.
WITH plan AS (
    SELECT plan_id, CASE $4 WHEN 'sender' THEN max_senders WHEN 'webhook' THEN max_webhooks ELSE max_waits END AS most FROM plans
    WHERE plan_id = plan_of($1)
),
held AS (
    SELECT place, expires_at FROM waits WHERE account_id = $1 AND kind = $4 AND expires_at > clock_timestamp()
),
free AS (
    SELECT place FROM plan, generate_series(1, plan.most) AS place
    WHERE place NOT IN (SELECT place FROM held)
    ORDER BY random() LIMIT 1
),
taken AS (
    INSERT INTO waits AS w (account_id, kind, place, wait_id, expires_at)
    SELECT $1, $4, place, $2, clock_timestamp() + make_interval(secs => $3) FROM free
    ON CONFLICT (account_id, kind, place) DO UPDATE SET wait_id = excluded.wait_id, expires_at = excluded.expires_at
        WHERE w.expires_at <= clock_timestamp()
    RETURNING place
)
SELECT plan_id, most,
    (SELECT place FROM taken) AS place,
    EXISTS (SELECT FROM free) AS was_free,
    (SELECT extract(epoch FROM min(expires_at) - clock_timestamp())::float8 FROM held) AS next_s
FROM plan

-- name: give_back
DELETE FROM waits WHERE account_id = $1 AND place = $2 AND wait_id = $3 AND kind = $4
