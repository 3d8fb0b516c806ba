-- Which provider keys an account may name, other than a provider's usual one: patterns of their names,
-- 'OPENAI_API_KEY_TEAM_A*'; NULL: none. Whose runs each of them pays for is the operator's to say.

ALTER TABLE plans ADD COLUMN provider_keys text[] CHECK (cardinality(provider_keys) BETWEEN 1 AND 100);
