"""What an account may hold: exact, whatever comes at once, and counted before it is stored."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest

from functions.api import files as service
from shared.agent_config import AgentConfig
from shared.aws import objects
from shared.database import api_keys, assistants, connection, holdings, threads, transaction
from shared.database.files import File
from shared.errors import ConflictError
from shared.runs.record import create_thread
from tests.integration.databases import Database
from tests.integration.owned import Owned

MOST = 3

type Create = Callable[[str], Awaitable[Any]]


async def _thread(account_id: str) -> None:
    await create_thread(account_id=account_id, thread_id=uuid4(), metadata={}, exist_ok=False)


async def _assistant(account_id: str) -> None:
    async with transaction() as taken:
        await threads.ensure_account(taken, account_id=account_id)
        await assistants.create(
            taken,
            assistant_id=uuid4(),
            account_id=account_id,
            name="mine",
            description=None,
            config=AgentConfig(),
            metadata={},
        )


async def _api_key(account_id: str) -> UUID:
    async with transaction() as taken:
        await threads.ensure_account(taken, account_id=account_id)
        key = await api_keys.create(
            taken,
            key_id=uuid4(),
            account_id=account_id,
            sha256=uuid4().bytes * 2,
            name="laptop",
            scopes=["read"],
            expires_at=None,
        )
    return key.key_id


CREATE: dict[holdings.Kind, Create] = {"threads": _thread, "assistants": _assistant, "api_keys": _api_key}


def _file(account_id: str, *, size: int = 5, thread_id: UUID | None = None) -> File:
    return File(
        account_id=account_id, thread_id=thread_id or uuid4(), name="a.txt", content_type="text/plain", size=size
    )


def test_each_kind_is_created_here() -> None:
    assert CREATE.keys() == set(get_args(holdings.Kind))


@pytest.mark.parametrize("kind", CREATE)
async def test_of_many_at_once_exactly_as_many_are_there_as_the_plan_allows(
    database: Database, account_id: str, kind: holdings.Kind
) -> None:
    await database.connection.execute(f"UPDATE plans SET max_{kind} = $1", MOST)  # noqa: S608 - a name of ours
    done = await asyncio.gather(*(CREATE[kind](account_id) for _ in range(20)), return_exceptions=True)
    refused = [one for one in done if isinstance(one, ConflictError)]
    assert (len(refused), await database.count(kind)) == (20 - MOST, MOST), done
    assert refused[0].detail == {"limit": f"max_{kind}", "plan": "default", f"max_{kind}": MOST}
    # Another account has its own.
    await CREATE[kind](f"other-{account_id}")
    # And without a limit there is none.
    await database.connection.execute(f"UPDATE plans SET max_{kind} = NULL")  # noqa: S608
    await CREATE[kind](account_id)


async def test_a_thread_that_exists_is_found_however_many_there_are(database: Database, account_id: str) -> None:
    await database.connection.execute("UPDATE plans SET max_threads = 1")
    thread_id = uuid4()
    for _ in range(2):
        await create_thread(account_id=account_id, thread_id=thread_id, metadata={}, exist_ok=True)
    assert await database.count("threads") == 1


async def test_a_key_that_is_good_no_more_makes_room_and_the_oldest_are_forgotten(
    database: Database, account_id: str
) -> None:
    await database.connection.execute("UPDATE plans SET max_api_keys = 2")
    made: list[UUID] = []
    for _ in range(5):
        made.append(await _api_key(account_id))
        async with connection() as taken:
            await api_keys.revoke(taken, key_id=made[-1], account_id=account_id)
    await _api_key(account_id)
    async with connection() as taken:
        kept = await api_keys.page(taken, account_id=account_id, limit=10, offset=0)
    assert {key.key_id for key in kept if key.revoked_at is not None} == set(made[-2:])


async def test_versions_of_an_assistant_are_bounded(database: Database, owned: Owned) -> None:
    await database.connection.execute("UPDATE plans SET max_assistant_versions = $1", MOST)

    async def add() -> None:
        async with transaction() as taken:
            await assistants.add_version(
                taken,
                assistant_id=owned.assistant_id,
                account_id=owned.account_id,
                name=None,
                description=None,
                change=lambda config: config,
                metadata={},
            )

    done = await asyncio.gather(*(add() for _ in range(10)), return_exceptions=True)
    assert [isinstance(one, ConflictError) for one in done].count(True) == 10 - (MOST - 1), done
    assert await database.count("assistant_versions") == MOST


@pytest.mark.parametrize(("limit", "most"), [("max_files", 3), ("max_stored_bytes", 15)])
async def test_files_are_counted_before_they_are_stored(
    database: Database, account_id: str, files_bucket: str, limit: str, most: int
) -> None:
    del files_bucket
    await database.connection.execute(f"UPDATE plans SET {limit} = $1", most)  # noqa: S608 - a name of ours
    thread_id = await database.new_thread(account_id)
    came = [_file(account_id) for _ in range(20)]
    announced = (service.announce(_file(account_id, thread_id=thread_id)) for _ in range(5))
    stored = (service.store([(file, b"hello")]) for file in came)
    done = await asyncio.gather(*announced, *stored, return_exceptions=True)
    refused = [one for one in done if isinstance(one, ConflictError)]
    assert len(refused) == len(done) - 3, done
    assert {error.detail["limit"] for error in refused} == {limit}  # pyright: ignore[reportIndexIssue, reportArgumentType, reportCallIssue, reportUnknownMemberType, reportUnknownVariableType]
    # What is refused has left no object, and what is stored counts although it is no file yet.
    there = [seen is not None for seen in await objects.heads([file.object_key for file in came])]
    assert there.count(True) + await database.count("files") == 3
    assert there == [isinstance(one, list) for one in done[5:]]


async def test_files_of_one_request_are_bounded_as_those_of_a_thread(
    database: Database, account_id: str, files_bucket: str
) -> None:
    del files_bucket
    await database.connection.execute("UPDATE plans SET max_thread_files = 2")
    came = [(_file(account_id), b"hello") for _ in range(3)]
    with pytest.raises(ConflictError, match="max_thread_files"):
        await service.store(came)
    assert await objects.heads([file.object_key for file, _ in came]) == [None] * 3
