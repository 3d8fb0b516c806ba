-- Subscriptions that a connection may have: they are one item, which every sender reads.

ALTER TABLE plans ADD COLUMN max_subscriptions int NOT NULL DEFAULT 32 CHECK (max_subscriptions BETWEEN 1 AND 1000);
