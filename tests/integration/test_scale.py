"""Every statement is measured at size (``make bench-scale``): here that each can be asked, and is."""

import pytest

from bench import scale
from bench.scale_data import load
from bench.scale_statements import ARGUMENTS
from shared.migrate import migrate
from tests.integration.databases import Database


async def test_every_statement_is_asked_with_what_the_data_has(empty_database: Database) -> None:
    await migrate(empty_database.connection, lease_s=30)
    ids = await load(empty_database.connection, messages=1_000)
    rows = await empty_database.count("messages")
    read = await scale.read_by_all(empty_database.connection, ids)
    assert read.keys() == ARGUMENTS.keys()
    assert all(one.blocks for one in read.values())
    # What they have done is undone.
    assert await empty_database.count("messages") == rows


async def test_a_statement_that_nobody_says_how_to_ask_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ARGUMENTS, "threads.get")
    with pytest.raises(SystemExit, match=r"threads\.get"):
        scale.statements()


async def test_what_is_read_in_sequence_is_seen_wherever_it_is(empty_database: Database) -> None:
    """In a function, or by a reference without an index: no plan shows that."""
    await empty_database.connection.execute(
        "CREATE TABLE many (id int PRIMARY KEY); INSERT INTO many SELECT generate_series(1, 2000);"
        "CREATE TABLE other (id int PRIMARY KEY); INSERT INTO other VALUES (1);"
        "CREATE TABLE refers (id int REFERENCES other ON DELETE CASCADE);"
        "INSERT INTO refers SELECT NULL FROM generate_series(1, 3000);"
        "CREATE FUNCTION sum_of_many() RETURNS bigint LANGUAGE plpgsql STABLE AS"
        " $$ BEGIN RETURN (SELECT sum(id) FROM many); END $$"
    )
    read = await scale.read_by(empty_database.connection, "SELECT sum_of_many()", [])
    assert read.scanned == {"many": 2000}
    assert read.blocks > 8
    read = await scale.read_by(empty_database.connection, "DELETE FROM other", [])
    assert read.scanned["refers"] == 3000
