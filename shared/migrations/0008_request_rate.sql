-- How fast an account may ask: so many requests a minute, and so many at once before that counts. The rate is kept in
-- whole microseconds a request, which is exact within 1 % up to a million a minute.

ALTER TABLE plans
    ADD COLUMN requests_per_minute int NOT NULL DEFAULT 100 CHECK (requests_per_minute BETWEEN 1 AND 1000000),
    ADD COLUMN request_burst int NOT NULL DEFAULT 50 CHECK (request_burst BETWEEN 1 AND 1000000);
