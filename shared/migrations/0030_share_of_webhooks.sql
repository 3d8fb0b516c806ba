-- How many attempts at webhooks of an account's runs may last at a time: each holds an environment of the watch function.

ALTER TABLE plans ADD COLUMN max_webhooks int NOT NULL DEFAULT 4 CHECK (max_webhooks BETWEEN 1 AND 1000);
