-- How many bytes an account has of what is said and set: messages, and the configurations of runs and assistants. Files
-- are counted by themselves.

ALTER TABLE plans ADD COLUMN max_record_bytes bigint DEFAULT 5368709120 CHECK (max_record_bytes > 0);

CREATE TABLE account_bytes (
    account_id text NOT NULL REFERENCES accounts ON DELETE CASCADE,
    stripe int NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (account_id, stripe)
);

-- Triggers, so that nobody who will ever write one can forget it; one count a statement, however many rows it has.
-- NULL: it was there before bytes were counted, and is not.
ALTER TABLE messages ADD COLUMN stored_bytes int;
ALTER TABLE agent_runs ADD COLUMN stored_bytes int;
ALTER TABLE assistant_versions ADD COLUMN stored_bytes int;
CREATE FUNCTION measure_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stored_bytes := octet_length(NEW.content::text) + octet_length(NEW.metadata::text);
    RETURN NEW;
END
$$;
CREATE TRIGGER measure BEFORE INSERT OR UPDATE OF content, metadata ON messages
FOR EACH ROW EXECUTE FUNCTION measure_message();
CREATE FUNCTION measure_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stored_bytes := octet_length(NEW.config::text) + octet_length(NEW.metadata::text);
    RETURN NEW;
END
$$;
CREATE TRIGGER measure BEFORE INSERT OR UPDATE OF config, metadata ON agent_runs
FOR EACH ROW EXECUTE FUNCTION measure_run();
CREATE FUNCTION measure_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stored_bytes := octet_length(NEW.config::text);
    RETURN NEW;
END
$$;
CREATE TRIGGER measure BEFORE INSERT OR UPDATE OF config ON assistant_versions
FOR EACH ROW EXECUTE FUNCTION measure_version();

CREATE FUNCTION count_bytes(of_account text, more bigint) RETURNS void LANGUAGE sql AS $$
    -- Of an account that is no more nothing is counted.
    INSERT INTO account_bytes AS b (account_id, stripe, bytes)
    SELECT account_id, own_stripe(account_id), more FROM accounts WHERE account_id = of_account AND more <> 0
    ON CONFLICT (account_id, stripe) DO UPDATE SET bytes = b.bytes + excluded.bytes
$$;

CREATE FUNCTION count_added_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_bytes(n.account_id, sum(n.stored_bytes)) FROM added n GROUP BY n.account_id;
    RETURN NULL;
END
$$;
CREATE FUNCTION count_gone_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_bytes(g.account_id, -sum(g.stored_bytes)) FROM gone g GROUP BY g.account_id;
    RETURN NULL;
END
$$;
CREATE FUNCTION count_changed_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_bytes(NEW.account_id, NEW.stored_bytes - coalesce(OLD.stored_bytes, 0));
    RETURN NULL;
END
$$;
CREATE TRIGGER count_added_bytes AFTER INSERT ON messages REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION count_added_bytes();
CREATE TRIGGER count_gone_bytes AFTER DELETE ON messages REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION count_gone_bytes();
CREATE TRIGGER count_changed_bytes AFTER UPDATE OF content, metadata ON messages
FOR EACH ROW WHEN (NEW.stored_bytes IS DISTINCT FROM OLD.stored_bytes) EXECUTE FUNCTION count_changed_bytes();
CREATE TRIGGER count_added_bytes AFTER INSERT ON agent_runs REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION count_added_bytes();
CREATE TRIGGER count_gone_bytes AFTER DELETE ON agent_runs REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION count_gone_bytes();
CREATE TRIGGER count_changed_bytes AFTER UPDATE OF config, metadata ON agent_runs
FOR EACH ROW WHEN (NEW.stored_bytes IS DISTINCT FROM OLD.stored_bytes) EXECUTE FUNCTION count_changed_bytes();

-- A version is its assistant's, and never changes; those of an assistant go with it.
CREATE FUNCTION count_version_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_bytes(a.account_id, sum(v.stored_bytes)) FROM added v JOIN assistants a USING (assistant_id) GROUP BY a.account_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_added_bytes AFTER INSERT ON assistant_versions REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION count_version_bytes();
CREATE FUNCTION count_bytes_of_gone_assistant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_bytes(OLD.account_id, -sum(v.stored_bytes)) FROM assistant_versions v WHERE v.assistant_id = OLD.assistant_id
    HAVING count(*) > 0;
    RETURN OLD;
END
$$;
CREATE TRIGGER count_bytes_of_gone BEFORE DELETE ON assistants
FOR EACH ROW EXECUTE FUNCTION count_bytes_of_gone_assistant();

-- One deletion of an account is under way at a time, however often it is asked for.
ALTER TABLE accounts ADD COLUMN deleting_until timestamptz;
