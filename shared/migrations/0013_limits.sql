-- What a run, and an account a day (UTC), may use of models: tokens, and money where the price is known; what clients
-- may keep open, and how long threads may become. NULL: no limit.

ALTER TABLE plans
    ADD COLUMN max_run_tokens bigint DEFAULT 5000000 CHECK (max_run_tokens > 0),
    ADD COLUMN max_run_cost_usd numeric DEFAULT 10 CHECK (max_run_cost_usd > 0),
    ADD COLUMN max_day_tokens bigint DEFAULT 20000000 CHECK (max_day_tokens > 0),
    ADD COLUMN max_day_cost_usd numeric DEFAULT 50 CHECK (max_day_cost_usd > 0),
    -- WebSocket connections of an account that are open at a time.
    ADD COLUMN max_connections int DEFAULT 100 CHECK (max_connections > 0),
    -- Messages of a thread, beyond which it takes no more from clients.
    ADD COLUMN max_thread_messages int DEFAULT 10000 CHECK (max_thread_messages > 0);

-- What was used stays used, also of threads that are deleted since.
CREATE TABLE account_usage (
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    day date NOT NULL,
    tokens bigint NOT NULL,
    cost_usd numeric NOT NULL,
    PRIMARY KEY (account_id, day)
);

-- A trigger, so that it is added in the transaction that keeps the answer, whoever keeps it. An answer may be kept
-- several times, and brings its usage with the last.
CREATE FUNCTION add_usage_of_answer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    more_tokens bigint := coalesce((NEW.metadata #>> '{usage,total_tokens}')::bigint, 0);
    more_cost numeric := coalesce((NEW.metadata ->> 'price_usd')::numeric, 0);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        more_tokens := more_tokens - coalesce((OLD.metadata #>> '{usage,total_tokens}')::bigint, 0);
        more_cost := more_cost - coalesce((OLD.metadata ->> 'price_usd')::numeric, 0);
    END IF;
    IF more_tokens <> 0 OR more_cost <> 0 THEN
        INSERT INTO account_usage AS used (account_id, day, tokens, cost_usd)
        VALUES (NEW.account_id, (clock_timestamp() AT TIME ZONE 'UTC')::date, more_tokens, more_cost)
        ON CONFLICT (account_id, day) DO UPDATE SET
            tokens = used.tokens + excluded.tokens, cost_usd = used.cost_usd + excluded.cost_usd;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER add_usage AFTER INSERT OR UPDATE OF metadata ON messages
FOR EACH ROW WHEN (NEW.metadata ? 'usage') EXECUTE FUNCTION add_usage_of_answer();
