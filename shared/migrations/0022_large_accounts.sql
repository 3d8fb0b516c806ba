-- What took as long as the tables are large: every row that goes is looked for in all that refers to it.

-- Of these the thread's reference, or the message's, says the same, and goes with it.
ALTER TABLE agent_runs DROP CONSTRAINT agent_runs_account_id_fkey;
ALTER TABLE messages DROP CONSTRAINT messages_account_id_fkey;
ALTER TABLE tool_executions
    DROP CONSTRAINT tool_executions_account_id_fkey,
    DROP CONSTRAINT tool_executions_thread_id_fkey,
    DROP CONSTRAINT tool_executions_agent_run_id_fkey;
ALTER TABLE webhook_deliveries DROP CONSTRAINT webhook_deliveries_account_id_fkey;

CREATE INDEX messages_of_run ON messages (agent_run_id);
DROP INDEX events_of_run;
CREATE INDEX events_of_run ON thread_events (agent_run_id);

-- What threads are searched by stands in the thread: to look for it among the runs took as long as an account has
-- threads. Empty: no run yet, or the newest was deleted. Threads that are there have none until their next run: to write
-- one into each row would hold up every run for as long as that takes.
ALTER TABLE threads ADD COLUMN last_run_status text;
ALTER TABLE threads ALTER COLUMN last_run_status SET DEFAULT '';
CREATE INDEX threads_by_status ON threads (account_id, last_run_status, created_at DESC, thread_id);

-- A trigger, so that nobody who will ever change a run's status can forget it. Whoever does holds the thread's row lock.
CREATE FUNCTION keep_last_run_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE threads SET last_run_status = ''
        WHERE thread_id = OLD.thread_id AND last_run_number = OLD.number;
    ELSE
        UPDATE threads SET last_run_status = NEW.status
        WHERE thread_id = NEW.thread_id AND last_run_number <= NEW.number;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_last_run_status AFTER INSERT OR DELETE ON agent_runs
FOR EACH ROW EXECUTE FUNCTION keep_last_run_status();
CREATE FUNCTION status_of_thread(thread threads) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(thread.last_run_status, (
        SELECT status FROM agent_runs WHERE thread_id = thread.thread_id AND number = thread.last_run_number
    ), '')
$$;
CREATE TRIGGER keep_changed_run_status AFTER UPDATE OF status ON agent_runs
FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION keep_last_run_status();

-- All answers of an account's day were added in one row, each waiting for the commit of the one before. A day has up to
-- 32 rows now, and their sum is what was used. A transaction adds to a row that no other transaction has, so nobody waits;
-- were the row its connection's, two transactions that count in another order could wait for each other.
CREATE FUNCTION own_stripe(of_account text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    first int := pg_backend_pid() % 32;
BEGIN
    FOR tried IN 0..31 LOOP
        IF pg_try_advisory_xact_lock(hashtextextended(of_account, (first + tried) % 32)) THEN
            RETURN (first + tried) % 32;
        END IF;
    END LOOP;
    RETURN first;
END
$$;

ALTER TABLE account_usage
    ADD COLUMN stripe int NOT NULL DEFAULT 0,
    DROP CONSTRAINT account_usage_pkey,
    ADD PRIMARY KEY (account_id, day, stripe);

CREATE OR REPLACE FUNCTION add_usage_of_answer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    more_tokens bigint := coalesce((NEW.metadata #>> '{usage,total_tokens}')::bigint, 0);
    more_cost numeric := coalesce((NEW.metadata ->> 'price_usd')::numeric, 0);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        more_tokens := more_tokens - coalesce((OLD.metadata #>> '{usage,total_tokens}')::bigint, 0);
        more_cost := more_cost - coalesce((OLD.metadata ->> 'price_usd')::numeric, 0);
    END IF;
    IF more_tokens <> 0 OR more_cost <> 0 THEN
        INSERT INTO account_usage AS used (account_id, day, stripe, tokens, cost_usd)
        VALUES (
            NEW.account_id, (clock_timestamp() AT TIME ZONE 'UTC')::date, own_stripe(NEW.account_id), more_tokens, more_cost
        )
        ON CONFLICT (account_id, day, stripe) DO UPDATE SET
            tokens = used.tokens + excluded.tokens, cost_usd = used.cost_usd + excluded.cost_usd;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION usage_of_day(of_account text, of_day date, OUT tokens bigint, OUT cost_usd numeric)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(u.tokens), 0)::bigint, coalesce(sum(u.cost_usd), 0)
    FROM account_usage u WHERE u.account_id = of_account AND u.day = of_day
$$;

CREATE OR REPLACE FUNCTION keep_of_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    used record;
BEGIN
    SELECT u.tokens, u.cost_usd INTO used FROM usage_of_day(OLD.account_id, today) u;
    IF used.tokens <> 0 OR used.cost_usd <> 0 THEN
        INSERT INTO deleted_accounts (hash, plan_id, day, tokens, cost_usd)
        VALUES (hash_of_account(OLD.account_id), nullif(OLD.plan_id, 'default'), today, used.tokens, used.cost_usd);
    ELSIF OLD.plan_id <> 'default' THEN
        INSERT INTO deleted_accounts (hash, plan_id) VALUES (hash_of_account(OLD.account_id), OLD.plan_id);
    END IF;
    RETURN OLD;
END
$$;
