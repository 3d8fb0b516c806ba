"""What an account has of messages and configurations is counted in bytes, and bounded by its plan."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.agent_config import AgentConfig
from shared.database import assistants, connection, holdings, messages, runs, threads, transaction
from shared.errors import ConflictError
from shared.runs.appending import append_while_idle
from shared.runs.record import NewMessage, NewRun, append_message, record_run
from tests.integration.databases import Database

pytestmark = pytest.mark.usefixtures("queues")

_TRUE = """
SELECT coalesce(sum(bytes), 0) FROM (
    SELECT octet_length(content::text) + octet_length(metadata::text) AS bytes FROM messages WHERE account_id = $1
    UNION ALL
    SELECT octet_length(config::text) + octet_length(metadata::text) FROM agent_runs WHERE account_id = $1
    UNION ALL
    SELECT octet_length(config::text) FROM assistant_versions JOIN assistants USING (assistant_id) WHERE account_id = $1
) AS every
"""


async def _counted(database: Database, account_id: str) -> int:
    counted: int = await database.connection.fetchval(
        "SELECT coalesce(sum(bytes), 0)::bigint FROM account_bytes WHERE account_id = $1", account_id
    )
    assert counted == await database.connection.fetchval(_TRUE, account_id)
    return counted


def _said(size: int) -> NewMessage:
    return NewMessage(type="user", content={"role": "user", "content": "x" * size})


async def _assistant(account_id: str, size: int) -> UUID:
    assistant_id = uuid4()
    async with transaction() as taken:
        await threads.ensure_account(taken, account_id=account_id)
        await assistants.create(
            taken,
            assistant_id=assistant_id,
            account_id=account_id,
            name="one",
            description=None,
            config=AgentConfig(system_prompt="x" * size),
            metadata={},
        )
    return assistant_id


async def _version(account_id: str, assistant_id: UUID, size: int) -> None:
    async with transaction() as taken:
        await assistants.add_version(
            taken,
            assistant_id=assistant_id,
            account_id=account_id,
            name=None,
            description=None,
            change=lambda config: config.overridden({"system_prompt": "y" * size}),
            metadata={},
        )


async def test_whatever_comes_and_goes_the_count_is_true(database: Database, account_id: str) -> None:
    thread_ids = [await database.new_thread(account_id) for _ in range(3)]
    await asyncio.gather(
        *(append_message(account_id=account_id, thread_id=one, new=_said(100)) for one in thread_ids for _ in range(5))
    )
    assert await _counted(database, account_id) > 1500
    config = {"agent": {"system_prompt": "z" * 300}}
    message_id = uuid4()
    said = [replace(_said(10), message_id=message_id), _said(20)]
    run = await record_run(
        NewRun(account_id=account_id, thread_id=thread_ids[0], assistant_id="agent", messages=said, config=config)
    )
    async with connection() as taken:
        await messages.replace(taken, message_id=message_id, content={"a": "b" * 500}, metadata={"c": 1})
    before = await _counted(database, account_id)
    await database.set_run(run.agent_run_id, status="'completed'", ended_at="now()")
    async with transaction() as taken:
        await runs.delete(taken, agent_run_id=run.agent_run_id, account_id=account_id, thread_id=thread_ids[0])
    assert await _counted(database, account_id) < before - 800
    assistant_id = await _assistant(account_id, 1000)
    await _version(account_id, assistant_id, 2000)
    assert await _counted(database, account_id) > 4000
    async with connection() as taken:
        await assistants.delete(taken, assistant_id=assistant_id, account_id=account_id)
        for thread_id in thread_ids:
            await threads.delete(taken, thread_id=thread_id, account_id=account_id)
    assert await _counted(database, account_id) == 0
    await database.connection.execute("DELETE FROM accounts WHERE account_id = $1", account_id)
    assert await database.count("account_bytes") == 0


async def _run(account_id: str, thread_id: UUID, **fields: Any) -> None:
    await record_run(
        NewRun(account_id=account_id, thread_id=thread_id, assistant_id="agent", **{"messages": [], **fields})
    )


WAYS: dict[str, Callable[[str, UUID], Awaitable[Any]]] = {
    "a run's messages": lambda account, thread: _run(account, thread, messages=[_said(2000)]),
    "a run's configuration": lambda account, thread: _run(account, thread, config={"agent": "x" * 2000}),
    "a run's metadata": lambda account, thread: _run(account, thread, metadata={"a": "x" * 2000}),
    "a message": lambda account, thread: append_message(account_id=account, thread_id=thread, new=_said(2000)),
    "a state": lambda account, thread: append_while_idle(account_id=account, thread_id=thread, new=[_said(2000)]),
    "an assistant": lambda account, _: _assistant(account, 2000),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_nobody_has_more_bytes_than_the_plan_allows(
    database: Database, account_id: str, way: Callable[[str, UUID], Awaitable[Any]]
) -> None:
    thread_id = await database.new_thread(account_id)
    await append_message(account_id=account_id, thread_id=thread_id, new=_said(3000))
    held = await _counted(database, account_id)
    await database.connection.execute("UPDATE plans SET max_record_bytes = $1", held + 200)
    with pytest.raises(ConflictError, match="max_record_bytes") as refused:
        await way(account_id, thread_id)
    assert refused.value.detail == {"limit": "max_record_bytes", "plan": "default", "max_record_bytes": held + 200}
    # Nothing of it is there, and what is small still is taken.
    assert await _counted(database, account_id) == held
    await append_message(account_id=account_id, thread_id=thread_id, new=_said(1))
    # Another account has room of its own.
    await way(other := f"other-{uuid4()}", await database.new_thread(other))


async def test_a_version_is_counted_before_it_is_one(database: Database, account_id: str) -> None:
    assistant_id = await _assistant(account_id, 100)
    await database.connection.execute("UPDATE plans SET max_record_bytes = 1000")
    with pytest.raises(ConflictError, match="max_record_bytes"):
        await _version(account_id, assistant_id, 1000)
    async with connection() as taken:
        assert (await assistants.get(taken, assistant_id=assistant_id, account_id=account_id)).version == 1
        await holdings.admit_bytes(taken, account_id=account_id)
