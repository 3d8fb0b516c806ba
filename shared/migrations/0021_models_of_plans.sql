-- Which models an account may have answer: patterns of canonical names, 'openai/gpt-4o*'; NULL: all that the stack serves.

ALTER TABLE plans ADD COLUMN models text[] CHECK (cardinality(models) BETWEEN 1 AND 100);
