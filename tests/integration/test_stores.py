"""The stores: what they keep, and what they find."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.database import checkpoints, connection, messages, runs, threads, transaction
from shared.domain import Message
from shared.errors import ConflictError, InvalidRequestError, NotFoundError
from tests.integration.databases import Database
from tests.integration.owned import Owned, insert
from tests.integration.waiting import until


def _texts(found: list[Message]) -> list[str]:
    return [message.content["content"] for message in found]


async def test_a_thread_id_that_is_taken_is_not_given_twice(database: Database, owned: Owned) -> None:
    async with connection() as taken:
        for account_id in (owned.account_id, "a stranger"):
            assert not await threads.create(taken, thread_id=owned.thread_id, account_id=account_id, metadata={"a": 1})
    row = await database.thread(owned.thread_id)
    assert (row["account_id"], row["metadata"]) == (owned.account_id, "{}")


async def test_metadata_is_merged_key_by_key(owned: Owned) -> None:
    async with connection() as taken:
        for metadata in ({"a": 1, "b": {"c": 1}}, {"b": {"d": 2}, "e": None}):
            await threads.update(taken, thread_id=owned.thread_id, account_id=owned.account_id, metadata=metadata)
        thread = await threads.get(taken, thread_id=owned.thread_id, account_id=owned.account_id)
    assert thread.metadata == {"a": 1, "b": {"d": 2}, "e": None}


async def test_a_search_filters_and_pages_in_a_stable_order(database: Database, account_id: str) -> None:
    ids = [await database.new_thread(account_id) for _ in range(5)]
    await database.new_thread("a stranger")

    async def search(**wanted: Any) -> list[UUID]:
        defaults = {"metadata": {}, "thread_ids": None, "last_run_statuses": None, "limit": 10, "offset": 0}
        async with connection() as taken:
            found = await threads.search(taken, account_id=account_id, **{**defaults, **wanted})
        return [thread.thread_id for thread in found.items]

    newest_first = ids[::-1]
    assert await search() == newest_first
    assert await search(limit=2) + await search(limit=2, offset=2) + await search(offset=4) == newest_first
    assert await search(thread_ids=ids[:2]) == ids[1::-1]

    async with connection() as taken:
        await threads.update(taken, thread_id=ids[3], account_id=account_id, metadata={"user": {"id": 7, "name": "x"}})
    assert await search(metadata={"user": {"id": 7}}) == [ids[3]]
    assert await search(metadata={"user": {"id": 8}}) == []

    await database.new_run(ids[0], status="'failed'")
    await database.new_run(ids[1])
    assert await search(last_run_statuses=["failed"]) == [ids[0]]
    assert await search(last_run_statuses=["queued", "running"]) == [ids[1]]
    assert await search(last_run_statuses=[None]) == newest_first[:3]


async def test_a_threads_status_is_that_of_its_newest_run(database: Database, owned: Owned) -> None:
    await database.set_run(owned.agent_run_id, status="'failed'")
    await database.new_run(owned.thread_id)
    async with connection() as taken:
        thread = await threads.get(taken, thread_id=owned.thread_id, account_id=owned.account_id)
    assert thread.last_run_status == "queued"


@pytest.mark.parametrize("status", ["queued", "running"])
async def test_a_thread_with_an_unfinished_run_is_not_deleted(database: Database, owned: Owned, status: str) -> None:
    await database.set_run(owned.agent_run_id, status=f"'{status}'")
    async with connection() as taken:
        with pytest.raises(ConflictError, match="unfinished run"):
            await threads.delete(taken, thread_id=owned.thread_id, account_id=owned.account_id)
    assert await database.count("threads") == 1


async def test_a_thread_is_deleted_with_its_runs_and_messages(database: Database, owned: Owned) -> None:
    await database.set_run(owned.agent_run_id, status="'completed'")
    async with connection() as taken:
        await threads.delete(taken, thread_id=owned.thread_id, account_id=owned.account_id)
    assert [await database.count(table) for table in ("threads", "agent_runs", "messages")] == [0, 0, 0]


async def test_runs_are_paged_newest_first_and_by_status(database: Database, owned: Owned) -> None:
    await database.set_run(owned.agent_run_id, status="'completed'")
    for _ in range(3):
        await database.new_run(owned.thread_id)

    async def numbers(**wanted: Any) -> list[int]:
        defaults = {"statuses": None, "limit": 10, "offset": 0}
        async with connection() as taken:
            found = await runs.page(
                taken, thread_id=owned.thread_id, account_id=owned.account_id, **{**defaults, **wanted}
            )
        return [run.number for run in found]

    assert await numbers() == [4, 3, 2, 1]
    assert await numbers(limit=2, offset=1) == [3, 2]
    assert await numbers(statuses=["completed"]) == [1]
    assert await numbers(statuses=[]) == []


async def test_a_run_is_found_on_its_own_thread_only(database: Database, owned: Owned) -> None:
    another = await database.new_thread(owned.account_id)
    async with connection() as taken:
        found = await runs.get(
            taken, agent_run_id=owned.agent_run_id, account_id=owned.account_id, thread_id=owned.thread_id
        )
        assert found.agent_run_id == owned.agent_run_id
        with pytest.raises(NotFoundError, match=repr(str(owned.agent_run_id))):
            await runs.get(taken, agent_run_id=owned.agent_run_id, account_id=owned.account_id, thread_id=another)


async def test_a_messages_place_is_its_runs_number_and_its_position(owned: Owned) -> None:
    # WHEN a message is sent for the next run while this one is still writing
    await insert(owned, "sent meanwhile", run_number=2)
    await insert(owned, "answer", run_number=1)
    # THEN it does not come between
    async with connection() as taken:
        found = await messages.page(taken, thread_id=owned.thread_id, account_id=owned.account_id, limit=10)
        newest = await checkpoints.until(taken, thread_id=owned.thread_id, account_id=owned.account_id, limit=2)
    assert [(message.run_number, message.position) for message in found] == [(1, 0), (1, 1), (2, 0)]
    assert _texts(found) == ["hello", "answer", "sent meanwhile"]
    assert _texts(newest) == ["answer", "sent meanwhile"]


async def test_metadata_grows_by_merging_up_to_a_bound(owned: Owned) -> None:
    async def merged(key: str, value: str, *, is_public: bool | None = None) -> None:
        async with connection() as taken:
            await threads.update(
                taken,
                thread_id=owned.thread_id,
                account_id=owned.account_id,
                metadata={key: value} if key else {},
                is_public=is_public,
            )

    await merged("a", "x" * 60_000)
    await merged("b", "x" * 60_000)
    with pytest.raises(InvalidRequestError, match="too large"):
        await merged("c", "x" * 60_000)
    # It may be replaced, and what else there is of the thread be changed.
    await merged("a", "short")
    await merged("c", "x" * 60_000)
    await merged("", "", is_public=True)


async def test_a_run_that_is_accepted_while_its_thread_is_deleted_stays(database: Database, owned: Owned) -> None:
    await database.set_run(owned.agent_run_id, status="'completed'")

    async def delete() -> None:
        async with transaction() as taken:
            await threads.delete(taken, thread_id=owned.thread_id, account_id=owned.account_id)

    # GIVEN a run that is being recorded, and a deletion that waits for it
    async with transaction() as recording:
        await threads.lock_with_account(recording, thread_id=owned.thread_id, account_id=owned.account_id)
        deleting = asyncio.create_task(delete())
        await until(database.waiting_for_a_lock)
        run = await runs.insert(
            recording,
            agent_run_id=uuid4(),
            thread_id=owned.thread_id,
            account_id=owned.account_id,
            number=2,
            assistant_id="agent",
            model=None,
            config={},
            metadata={},
            multitask_strategy="enqueue",
            after_s=0,
        )
    # THEN the deletion sees the run
    with pytest.raises(ConflictError, match="unfinished run"):
        await deleting
    assert (await database.run(run.agent_run_id))["status"] == "queued"
