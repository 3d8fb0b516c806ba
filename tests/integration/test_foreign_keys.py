"""A row that goes is looked for in every table that refers to it: nowhere is all of the table read for that."""

from tests.integration.databases import Database

# Whose rows only operators delete, by hand.
BY_HAND = {"plans"}

# Every foreign key without a full index that begins with its columns, in any order.
_WITHOUT_INDEX = """
SELECT c.conrelid::regclass || ' (' || (
    SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a
    WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
) || ') to ' || c.confrelid::regclass
FROM pg_constraint c
WHERE c.contype = 'f' AND c.confrelid::regclass::text <> ALL ($1) AND NOT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = c.conrelid AND i.indpred IS NULL AND i.indisvalid
      AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
)
"""


async def test_every_reference_has_an_index(database: Database) -> None:
    found = await database.connection.fetch(_WITHOUT_INDEX, sorted(BY_HAND))
    assert [row[0] for row in found] == []


async def test_the_test_finds_a_reference_without_one(database: Database) -> None:
    await database.connection.execute(
        "CREATE TABLE without (thread_id uuid REFERENCES threads ON DELETE CASCADE);"
        "CREATE TABLE partial (thread_id uuid REFERENCES threads, done bool);"
        "CREATE INDEX ON partial (thread_id) WHERE NOT done;"
        "CREATE TABLE behind (thread_id uuid REFERENCES threads, at int);"
        "CREATE INDEX ON behind (at, thread_id);"
    )
    found = await database.connection.fetch(_WITHOUT_INDEX, sorted(BY_HAND))
    assert {row[0] for row in found} >= {f"{name} (thread_id) to threads" for name in ("without", "partial", "behind")}
