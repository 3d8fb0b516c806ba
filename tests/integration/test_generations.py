"""A thread that is deleted, and made again under its id: nothing of the one is the other's, and nothing of it stays."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.api import deletions
from functions.api.sender.serving import Replay
from functions.api.watch import deletion
from functions.api.watch.deletion import forget_deleted_logs, look_after_deleted_log
from shared import events
from shared.aws import queue
from shared.aws.queue import LogMessage
from shared.database import connection, deleted_logs, facts, threads, transaction
from shared.domain import LogHold, ThreadLog
from shared.errors import ConflictError, FunctionsUnavailableError, LeaseLostError, NotFoundError, QueueUnavailableError
from shared.runs.settle import Done, LookAgain
from shared.stream import connections, control, log, log_hold, sender_lease, subscriptions
from shared.stream.appender import Appender
from shared.stream.audience import dismissed
from shared.stream.filters import Filter
from shared.stream.redis_client import Client, redis
from shared.stream.subscriptions import ConnectionRecord
from tests.integration.databases import Database
from tests.integration.queues import Queues
from tests.integration.waiting import until
from tests.integration.watchers import appended, audience, watching

pytestmark = pytest.mark.usefixtures("subscriptions_table", "hung_up", "redis_closed")

OWNER = "the owner"


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

    async def close(connection_id: str) -> None:
        closed.append(connection_id)

    monkeypatch.setattr(connections, "close", close)
    # One who came before there was any thread means the first that there is.
    assert [one.connection_id for one in await audience(after, account_id=OWNER)] == [early]
    await dismissed(timeout_s=5)
    assert closed == [connection_id]


def opened_on(thread_id: UUID, generation: UUID | None, *, begins_after: int) -> ConnectionRecord:
    """A connection of the owner's."""
    return ConnectionRecord(
        connection_id=f"{uuid4().hex[:15]}=",
        account_id=OWNER,
        thread_id=thread_id,
        opened_at=time.time(),
        credential_expires_at=2.0**32,
        begins_after=begins_after,
        generation=generation,
    )


def a_filter() -> Filter:
    return Filter(subscription_id=str(uuid4()), channels=frozenset({"custom"}))


async def test_a_connection_from_before_is_told_the_next_thread_from_its_beginning(database: Database) -> None:
    thread_id = uuid4()
    before = await made(thread_id)
    record = opened_on(thread_id, before.generation, begins_after=500)
    await subscriptions.put_connection(record)
    assert await subscriptions.get_connection(record.connection_id) == record
    # GIVEN a subscription to the thread before, and one that comes after it was made again
    await subscriptions.add(record, a_filter(), since=None, generation=before.generation)
    after = ThreadLog(thread_id=thread_id, generation=uuid4())
    await subscriptions.add(record, a_filter(), since=None, generation=after.generation)
    [found] = await subscriptions.of_thread(thread_id, account_id=OWNER)
    assert (found.cursor, found.generation) == (0, after.generation)
    # Who subscribes for the first time is told no less.
    another = opened_on(thread_id, before.generation, begins_after=500)
    await subscriptions.add(another, a_filter(), since=None, generation=after.generation)
    assert {one.cursor for one in await subscriptions.of_thread(thread_id, account_id=OWNER)} == {0}


async def test_who_came_before_there_was_a_thread_is_held_to_the_first(database: Database) -> None:
    thread_id = uuid4()
    record = opened_on(thread_id, None, begins_after=0)
    await subscriptions.add(record, a_filter(), since=None)
    [found] = await subscriptions.of_thread(thread_id, account_id=OWNER)
    first, second = uuid4(), uuid4()
    held = await sender_lease.claim(found, sender="one", generation=first)
    assert held is not None
    assert held.generation == first
    assert await sender_lease.release(held, sender="one", cursor=42)
    # THEN nobody posts another log to it from there
    assert await sender_lease.claim(found, sender="another", generation=second) is None


async def test_whoever_is_cut_off_is_hung_up(
    database: Database, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_id = uuid4()
    await made(thread_id)
    connection_id = await watching(thread_id, account_id=OWNER)
    closed: list[str] = []

    async def close(connection_ids: Sequence[str]) -> None:
        # They are not forgotten yet: whoever fails here finds them again.
        assert await log_watchers(thread_id) == connection_ids
        if not closed:
            closed.append("nobody")
            raise FunctionsUnavailableError
        closed.extend(connection_ids)

    monkeypatch.setattr(deletion.wake, "close_surely", close)
    message = await deleted(thread_id, queues)
    with pytest.raises(FunctionsUnavailableError):
        await look_after_deleted_log(message, age_s=0)
    assert await look_after_deleted_log(message, age_s=0) == Done()
    assert closed == ["nobody", connection_id]
    assert await log_watchers(thread_id) == []


async def test_what_nobody_was_told_of_goes_although_nobody_deletes_anything(
    database: Database, queues: Queues
) -> None:
    # GIVEN a deletion without a message, long ago
    forgotten = await made(uuid4())
    await appended(forgotten, 1, 3)
    async with transaction() as taken:
        await threads.delete(taken, thread_id=forgotten.thread_id, account_id=OWNER)
        await taken.execute("UPDATE deleted_logs SET deleted_at = now() - interval '2 hours'")
    assert await forget_deleted_logs() == 1
    assert await keys_of(forgotten.generation) == 0
    assert await database.count("deleted_logs") == 0
    assert await forget_deleted_logs() == 0


async def test_who_slept_over_the_deletion_does_not_write_the_log_again(database: Database, queues: Queues) -> None:
    thread_id = uuid4()
    await made(thread_id)
    run_id = await database.new_run(thread_id, status="'completed'")
    async with transaction() as taken:
        await facts.add(taken, thread_id=thread_id, facts=[events.custom(run_id, "what a tool has said", {})])
    # GIVEN whoever appends what waits, and has taken it
    hold = await adopted(thread_id)
    appender = Appender(hold, reserve=log_hold.reserve, prove=log_hold.is_newest)
    await appender.take_facts()
    # WHEN it sleeps, and the thread is deleted meanwhile with everything that Redis has
    assert await look_after_deleted_log(await deleted(thread_id, queues), age_s=0) == Done()
    with pytest.raises(LeaseLostError):
        await appender.append([])
    assert await keys_of(hold.generation) == 0


async def test_a_hint_expires_whoever_dies(database: Database, queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    where = await made(uuid4())
    called: list[str] = []
    command = Client.__getattr__

    def dying(client: Client, name: str) -> Any:
        # Whoever leaves it is there for one command, and not for another.
        called.append(name)
        if len(called) > 1:
            raise ConnectionError
        return command(client, name)

    with monkeypatch.context() as patch:
        patch.setattr(Client, "__getattr__", dying)
        with suppress(ConnectionError):
            await control.notify(where, "facts")
    key = f"{{{where.generation}}}:control"
    assert (await redis().exists(key), await redis().pttl(key) > 0) == (1, True)


async def test_a_thread_from_before_there_were_generations_keeps_its_log(database: Database, queues: Queues) -> None:
    thread_id = uuid4()
    await made(thread_id)
    await database.connection.execute("UPDATE threads SET generation = NULL WHERE thread_id = $1", thread_id)
    hold = await adopted(thread_id)
    assert hold.generation == thread_id
    assert await log_hold.is_newest(hold)
    await appended(hold, 1, 3)
    message = await deleted(thread_id, queues)
    assert message.generation == thread_id
    assert await look_after_deleted_log(message, age_s=0) == Done()
    assert await keys_of(thread_id) == 0


async def test_a_run_that_is_recorded_meanwhile_is_not_deleted_with_its_thread(
    database: Database, queues: Queues
) -> None:
    thread_id = uuid4()
    await made(thread_id)
    other = await database.connect()
    try:
        # GIVEN somebody who has the thread's row, and is about to commit a run
        async with other.transaction():
            await other.fetchval("SELECT 1 FROM threads WHERE thread_id = $1 FOR NO KEY UPDATE", thread_id)
            deleting = asyncio.create_task(deletions.delete_thread(thread_id=thread_id, account_id=OWNER))
            await until(lambda: database.connection.fetchval("SELECT 1 FROM pg_locks WHERE NOT granted"))
            await other.execute(
                "INSERT INTO agent_runs (agent_run_id, thread_id, account_id, number, assistant_id)"
                " VALUES ($1, $2, $3, 1, 'agent')",
                *(uuid4(), thread_id, OWNER),
            )
        with pytest.raises(ConflictError):
            await deleting
    finally:
        await other.close()
    assert await database.count("agent_runs") == 1


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
