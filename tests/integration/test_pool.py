"""How many connections the pool has, and how long they live."""

import asyncio

import pytest

from shared.database import connection
from tests.integration import opened
from tests.integration.databases import Database
from tests.integration.waiting import until


async def _backend() -> int:
    async with connection() as taken:
        return await taken.fetchval("SELECT pg_backend_pid()")


async def _is_gone(database: Database, backend: int) -> bool:
    return await database.connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", backend) == 0


async def test_a_connection_is_used_again(database: Database) -> None:
    assert len({await _backend() for _ in range(5)}) == 1


async def test_there_are_no_more_connections_than_the_settings_allow(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_POOL_SIZE", "2")
    opened.forget_settings()
    async with connection() as one, connection() as other:
        waiting = [asyncio.create_task(_backend()) for _ in range(5)]
        both = {await taken.fetchval("SELECT pg_backend_pid()") for taken in (one, other)}
    assert set(await asyncio.gather(*waiting)) <= both


async def test_a_connection_beyond_its_lifetime_is_replaced_and_not_while_it_is_used(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_LIFETIME_S", "0")
    opened.forget_settings()
    async with connection() as taken:
        mine = await taken.fetchval("SELECT pg_backend_pid()")
        # Others come and go meanwhile, each on a connection of its own.
        others = [await _backend() for _ in range(3)]
        assert await taken.fetchval("SELECT pg_backend_pid()") == mine
    assert len({mine, *others}) == 4
    await until(lambda: _is_gone(database, others[0]))


async def test_connections_that_nobody_uses_are_closed_but_for_the_first(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_IDLE_S", "0.05")
    opened.forget_settings()
    async with connection() as one, connection() as other:
        backends = [await taken.fetchval("SELECT pg_backend_pid()") for taken in (one, other)]

    async def left() -> list[bool]:
        return sorted([await _is_gone(database, backend) for backend in backends])

    async def one_is_left() -> bool:
        return await left() == [False, True]

    await until(one_is_left)
