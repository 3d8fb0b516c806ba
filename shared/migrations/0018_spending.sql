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
