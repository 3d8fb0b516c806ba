"""How many connections the pool has, and how long they live."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from shared.database import Connection, connection, pool, transaction
from shared.database.pool import atomic, connect_arguments
from shared.errors import DatabaseUnavailableError
from tests.cable import Cable
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


async def _nested(taken: Connection, statement: str) -> None:
    async with atomic(taken):
        await taken.execute(statement)


@pytest.fixture
async def cable(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Cable]:
    """What the pool's connections go over."""
    arguments, cable = await connect_arguments(), Cable(database.port)
    cable.plug()

    async def over_the_cable() -> dict[str, Any]:
        # What is set of times is set by the test, or not.
        times = {"timeout": pool.CONNECT_TIMEOUT_S, "command_timeout": pool.COMMAND_TIMEOUT_S}
        return arguments | times | {"host": "127.0.0.1", "port": cable.port}

    monkeypatch.setattr(pool, "connect_arguments", over_the_cable)
    monkeypatch.setattr(pool, "CONNECT_TIMEOUT_S", 0.5)
    await pool.close_pool()
    yield cable
    cable.heal(os.getpid())
    await pool.close_pool()
    cable.cut()


@pytest.mark.parametrize("opened_by", [connection, transaction])
async def test_a_statement_that_nothing_is_answered_to_is_a_database_that_is_away(
    cable: Cable,
    monkeypatch: pytest.MonkeyPatch,
    opened_by: Callable[[], AbstractAsyncContextManager[Connection]],
) -> None:
    monkeypatch.setattr(pool, "COMMAND_TIMEOUT_S", 0.5)
    # Whoever hears of it tries again, or has it tried, as after any error of a server that is away.
    with pytest.raises(DatabaseUnavailableError):
        async with opened_by() as taken:
            await taken.execute("SELECT 1")
            cable.cut_off(os.getpid())
            await taken.execute("SELECT 2")


@pytest.mark.parametrize("opened_by", [connection, transaction])
@pytest.mark.parametrize("nested", [False, True])
async def test_who_is_cancelled_while_postgresql_is_silent_ends_and_as_cancelled(
    cable: Cable, opened_by: Callable[[], AbstractAsyncContextManager[Connection]], nested: bool
) -> None:
    # GIVEN somebody who waits for PostgreSQL, from which nothing comes any more
    began = asyncio.Event()

    async def wait() -> None:
        async with opened_by() as taken:
            await taken.execute("SELECT 1")
            cable.cut_off(os.getpid())
            began.set()
            if nested and opened_by is transaction:
                await _nested(taken, "SELECT pg_sleep(60)")
            await taken.execute("SELECT pg_sleep(60)")

    waiting = asyncio.create_task(wait())
    await began.wait()
    await until(lambda: cable.held_back > 0)
    # WHEN it is cancelled, as a holder is whose lease is lost
    waiting.cancel()
    # THEN it ends, and nobody takes its end for an error that one tries again after
    async with asyncio.timeout(20):
        await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_all_who_wait_for_a_pool_get_what_comes_of_one_attempt(cable: Cable) -> None:
    # GIVEN a server that takes connections, and says nothing
    cable.cut_off(os.getpid())
    outcomes = await asyncio.gather(*(_backend() for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailableError] * 5
    # THEN it was tried once for all of them
    assert cable.held_back == 1
    # AND whoever comes later tries anew
    cable.heal(os.getpid())
    assert await _backend()


async def test_who_leaves_an_attempt_takes_nobody_with_him(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECT_TIMEOUT_S", 60.0)
    cable.cut_off(os.getpid())
    one, other = (asyncio.create_task(_backend()) for _ in range(2))
    await until(lambda: cable.held_back == 1)
    one.cancel()
    await asyncio.wait([one])
    cable.heal(os.getpid())
    assert await other
    assert one.cancelled()


async def test_an_attempt_that_nobody_waits_for_ends(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may run on when a function's invocation is over."""
    monkeypatch.setattr(pool, "CONNECT_TIMEOUT_S", 60.0)
    cable.cut_off(os.getpid())
    before = asyncio.all_tasks()
    one = asyncio.create_task(_backend())
    await until(lambda: cable.held_back == 1)
    one.cancel()
    await asyncio.wait([one])
    # WHEN somebody comes before it has ended THEN he gets an attempt of his own
    other = asyncio.create_task(_backend())
    await until(lambda: len(_of_attempts()) == 1 and asyncio.all_tasks() - before == {other, *_of_attempts()})
    cable.heal(os.getpid())
    assert await other


def _of_attempts() -> list[asyncio.Task[pool.Pool]]:
    return [attempt._task for attempt in pool._attempts]
