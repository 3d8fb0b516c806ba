"""A thread that is deleted, and made again under its id: nothing of the one is the other's, and nothing of it stays."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api import deletions
from functions.api.sender.main import Replay
from functions.api.watch import deletion
from functions.api.watch.deletion import look_after_deleted_log
from shared import events
from shared.aws import queue
from shared.aws.queue import LogMessage
from shared.database import connection, deleted_logs, facts, threads, transaction
from shared.domain import LogHold, ThreadLog
from shared.errors import LeaseLostError, NotFoundError, QueueUnavailableError
from shared.runs.settle import Done, LookAgain
from shared.stream import audience as audience_module
from shared.stream import control, log, log_hold, subscriptions
from shared.stream.audience import audience
from shared.stream.redis_client import redis
from tests.integration import opened
from tests.integration.databases import Database
from tests.integration.queues import Queues
from tests.integration.test_sender import appended, watching

pytestmark = pytest.mark.usefixtures("subscriptions_table")

OWNER = "the owner"


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    yield
    await opened.close_redis()


async def made(thread_id: UUID, *, account_id: str = OWNER) -> ThreadLog:
    """The account makes the thread."""
    async with transaction() as taken:
        await threads.ensure_account(taken, account_id=account_id)
        assert await threads.create(taken, thread_id=thread_id, account_id=account_id, metadata={})
        return await threads.log(taken, thread_id=thread_id, account_id=account_id)


async def adopted(thread_id: UUID, *, account_id: str = OWNER) -> LogHold:
    hold = await log_hold.adopt(thread_id=thread_id, account_id=account_id)
    assert hold is not None
    return hold


async def deleted(thread_id: UUID, queues: Queues, *, account_id: str = OWNER) -> LogMessage:
    """The account deletes the thread; the message that the watch gets."""
    await deletions.delete_thread(thread_id=thread_id, account_id=account_id)
    async with connection() as taken:
        found = await deleted_logs.of_account(taken, account_id=account_id, limit=10)
    del queues
    return LogMessage(generation=found[-1].generation)


async def keys_of(generation: UUID) -> int:
    """How much of a log Redis has."""
    return await redis().exists(*(f"{{{generation}}}:{name}" for name in ("events", "fence", "control")))


@pytest.mark.parametrize("again", [OWNER, "a stranger"])
async def test_who_makes_it_again_reads_nothing_of_what_was_there(
    database: Database, queues: Queues, again: str
) -> None:
    thread_id = uuid4()
    before = await made(thread_id)
    await appended(before, 1, 20)
    await deleted(thread_id, queues)
    # WHEN it is there again, and what was left of it is not yet removed
    after = await made(thread_id, account_id=again)
    assert await keys_of(before.generation) > 0
    assert await log.read(after, after_seq=0, limit=10) == []
    assert await Replay(after, newest_seq=0).newest_after(0) is None
    # THEN its log begins at one, under a fence of its own
    hold = await adopted(thread_id, account_id=again)
    first = events.number(events.custom(uuid4(), "x", {}), generation=hold.generation, seq=hold.last_seq + 1)
    assert (await log.append(hold, [first], expected_seq=0, proved=True)).answer == "ok"
    assert [entry.seq for entry in await log.read(after, after_seq=0, limit=10)] == [1]
    # ... and none of its events has the id of an event that was there before.
    assert first.frame not in [entry.frame for entry in await log.read(before, after_seq=0, limit=100)]


async def test_a_holder_that_outlives_the_thread_writes_nothing_into_the_next(
    database: Database, queues: Queues
) -> None:
    thread_id = uuid4()
    await made(thread_id)
    old = await adopted(thread_id)
    await deleted(thread_id, queues)
    await made(thread_id)
    new = await adopted(thread_id)
    # GIVEN a hold of the same number: epochs begin anew with the thread
    assert old.epoch == new.epoch
    assert await log_hold.is_newest(new)
    assert not await log_hold.is_newest(old)
    with pytest.raises(LeaseLostError):
        await log_hold.reserve(old)
    with pytest.raises(LeaseLostError):
        await facts.take(old, last_seq=0, most=1, in_hand=[])
    await log_hold.close(old, last_seq=999)
    assert (await database.thread(thread_id))["last_seq"] == new.last_seq


async def test_what_is_left_of_a_deleted_thread_is_removed_and_of_the_next_one_nothing(
    database: Database, queues: Queues
) -> None:
    thread_id = uuid4()
    before = await made(thread_id)
    await appended(before, 1, 3)
    await control.notify(before, "facts")
    await watching(thread_id, account_id=OWNER)
    message = await deleted(thread_id, queues)
    after = await made(thread_id)
    await appended(after, 1, 3)
    later = await watching(thread_id, account_id=OWNER)
    assert await look_after_deleted_log(message, age_s=0) == Done()
    assert await keys_of(before.generation) == 0
    assert await keys_of(after.generation) > 0
    left = await log_watchers(thread_id)
    assert left == [later]
    async with connection() as taken:
        assert await deleted_logs.of_account(taken, account_id=OWNER, limit=10) == []
    # Once more is as good as once.
    assert await look_after_deleted_log(message, age_s=100) == Done()


async def test_who_watched_the_thread_before_is_cut_off_by_whoever_serves_the_next_one(
    database: Database, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = uuid4()
    before = await made(thread_id)
    connection_id = await watching(thread_id, account_id=OWNER, generation=before.generation)
    early = await watching(thread_id, account_id=OWNER)
    await deleted(thread_id, queues)
    after = await made(thread_id)
    closed: list[str] = []

    async def hang_up(connection_id: str) -> None:
        closed.append(connection_id)

    monkeypatch.setattr(audience_module, "hang_up", hang_up)
    # One who came before there was any thread means the first that there is.
    assert [one.connection_id for one in await audience(after, account_id=OWNER)] == [early]
    assert closed == [connection_id]


async def log_watchers(thread_id: UUID) -> list[str]:
    """Connections that watch the thread."""
    return [found.connection_id for found in await subscriptions.of_thread(thread_id, account_id=OWNER)]


@pytest.mark.parametrize("dying", ["subscriptions", "log", "control", "deleted_logs"])
async def test_a_removal_that_dies_anywhere_is_carried_on(
    database: Database, queues: Queues, monkeypatch: pytest.MonkeyPatch, dying: str
) -> None:
    thread_id = uuid4()
    before = await made(thread_id)
    await appended(before, 1, 3)
    await watching(thread_id, account_id=OWNER)
    message = await deleted(thread_id, queues)

    async def die(*_: Any, **__: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(getattr(deletion, dying), "remove" if dying == "deleted_logs" else "forget", die)
        with pytest.raises(ConnectionError):
            await look_after_deleted_log(message, age_s=0)
    assert await look_after_deleted_log(message, age_s=0) == Done()
    assert (await keys_of(before.generation), await log_watchers(thread_id)) == (0, [])


async def test_nothing_is_deleted_that_nobody_would_remove(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    thread_id = uuid4()
    await made(thread_id)

    async def away(*_: Any, **__: Any) -> None:
        raise QueueUnavailableError

    monkeypatch.setattr(queue, "send", away)
    with pytest.raises(QueueUnavailableError):
        await deletions.delete_thread(thread_id=thread_id, account_id=OWNER)
    assert await database.thread(thread_id)


@pytest.mark.parametrize(("age_s", "answer"), [(0.0, LookAgain), (61.0, Done)])
async def test_a_deletion_that_is_not_committed_yet_is_waited_for(
    database: Database, age_s: float, answer: type[Done | LookAgain]
) -> None:
    assert isinstance(await look_after_deleted_log(LogMessage(generation=uuid4()), age_s=age_s), answer)


async def test_a_log_is_nobodys_but_the_threads_accounts(database: Database) -> None:
    thread_id = uuid4()
    await made(thread_id)
    async with connection() as taken:
        with pytest.raises(NotFoundError):
            await threads.log(taken, thread_id=thread_id, account_id="a stranger")
