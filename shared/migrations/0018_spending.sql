-- What nobody may get for nothing: answers that no message is kept of, and the day of an account that is deleted.

-- Of an answer's usage and price only: what it said is not kept. `metadata` as of a message.
CREATE TABLE unkept_answers (
    answer_id uuid PRIMARY KEY,
    thread_id uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    run_number int NOT NULL,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX unkept_answers_of_run ON unkept_answers (thread_id, run_number);
CREATE INDEX unkept_answers_of_account ON unkept_answers (account_id);
CREATE TRIGGER add_usage AFTER INSERT OR UPDATE OF metadata ON unkept_answers
FOR EACH ROW WHEN (NEW.metadata ? 'usage') EXECUTE FUNCTION add_usage_of_answer();

-- Every answer that is charged.
CREATE VIEW charged_answers AS
SELECT thread_id, account_id, run_number, metadata FROM messages WHERE metadata ? 'usage'
UNION ALL
SELECT thread_id, account_id, run_number, metadata FROM unkept_answers;

-- The tokens of all a run's answers, whichever attempts and executors they were given by, and whether any were counted
-- by us; a price where each of them has one. NULL: no answer.
CREATE FUNCTION usage_of_run(of_thread uuid, of_number int) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'input_tokens', sum((metadata #>> '{usage,input_tokens}')::bigint),
        'output_tokens', sum((metadata #>> '{usage,output_tokens}')::bigint),
        'total_tokens', sum((metadata #>> '{usage,total_tokens}')::bigint)
    ) || jsonb_strip_nulls(jsonb_build_object(
        'estimated', CASE WHEN bool_or(metadata #> '{usage,estimated}' = 'true') THEN true END,
        'price_usd', CASE WHEN bool_and(metadata ? 'price_usd') THEN sum((metadata ->> 'price_usd')::numeric) END
    ))
    FROM charged_answers
    WHERE thread_id = of_thread AND run_number = of_number
    HAVING count(*) > 0
$$;

-- What outlives an account, under a hash of its id: an operator's plan, for good, and what it has used today, until the
-- day (UTC) is over. Whoever begins the account anew goes on with that, and has no second day.
CREATE TABLE deleted_accounts (
    hash bytea PRIMARY KEY,
    -- NULL: the default plan.
    plan_id text REFERENCES plans,
    -- NULL: nothing used.
    day date,
    tokens bigint,
    cost_usd numeric
);

-- So that a hash tells nothing to who has not the whole database, and the same id has another one in the next.
CREATE TABLE account_salt (salt bytea NOT NULL);
INSERT INTO account_salt VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

CREATE FUNCTION hash_of_account(id text) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(salt || convert_to(id, 'UTF8')) FROM account_salt
$$;

-- An account begins to exist with the first thing that is its; until then it has the plan of before its deletion, or
-- the default one.
CREATE FUNCTION plan_of(id text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT plan_id FROM accounts WHERE account_id = id),
        (SELECT plan_id FROM deleted_accounts WHERE hash = hash_of_account(id)),
        'default'
    )
$$;

CREATE FUNCTION keep_of_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    used account_usage;
BEGIN
    SELECT * INTO used FROM account_usage
    WHERE account_id = OLD.account_id AND day = (clock_timestamp() AT TIME ZONE 'UTC')::date;
    IF FOUND OR OLD.plan_id <> 'default' THEN
        INSERT INTO deleted_accounts (hash, plan_id, day, tokens, cost_usd)
        VALUES (
            hash_of_account(OLD.account_id), nullif(OLD.plan_id, 'default'), used.day, used.tokens, used.cost_usd
        );
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER keep_of_account BEFORE DELETE ON accounts
FOR EACH ROW EXECUTE FUNCTION keep_of_account();

CREATE FUNCTION give_back_to_account() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept deleted_accounts;
BEGIN
    DELETE FROM deleted_accounts WHERE hash = hash_of_account(NEW.account_id) RETURNING * INTO kept;
    IF kept.plan_id IS NOT NULL AND NEW.plan_id = 'default' THEN
        UPDATE accounts SET plan_id = kept.plan_id WHERE account_id = NEW.account_id;
    END IF;
    IF kept.day = (clock_timestamp() AT TIME ZONE 'UTC')::date THEN
        INSERT INTO account_usage (account_id, day, tokens, cost_usd)
        VALUES (NEW.account_id, kept.day, kept.tokens, kept.cost_usd);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER give_back_to_account AFTER INSERT ON accounts
FOR EACH ROW EXECUTE FUNCTION give_back_to_account();
