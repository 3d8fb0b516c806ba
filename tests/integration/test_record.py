"""Recording a run: either it is there and somebody looks after it, or it is not there."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.database import connection, messages, runs, threads
from shared.errors import ConflictError, DatabaseUnavailableError, NotFoundError, QueueUnavailableError
from shared.runs import record
from shared.runs.record import NewMessage, NewRun, record_run
from shared.telemetry import bound
from tests.integration import opened
from tests.integration.databases import Database
from tests.integration.queues import Queues
from tests.integration.waiting import until


def _message(text: str, **more: Any) -> NewMessage:
    return NewMessage(type="user", content={"role": "user", "content": text}, **more)


def _new(account_id: str, thread_id: UUID, *texts: str, **more: Any) -> NewRun:
    return NewRun(
        account_id=account_id,
        thread_id=thread_id,
        assistant_id="agent",
        messages=[_message(text) for text in texts],
        **more,
    )


@pytest.fixture
async def thread_id(database: Database, account_id: str) -> UUID:
    return await database.new_thread(account_id)


async def test_a_run_is_recorded_with_its_messages_watched_and_dispatched(
    database: Database, queues: Queues, account_id: str, thread_id: UUID
) -> None:
    with bound(request_id="request"):
        run = await record_run(
            _new(account_id, thread_id, "one", "two", model="openai/x", config={"a": 1}, metadata={"b": 2})
        )
    async with connection() as taken:
        found = await runs.get(taken, agent_run_id=run.agent_run_id, account_id=account_id)
        said = await messages.page(taken, thread_id=thread_id, account_id=account_id, limit=10)
    assert found == run
    assert (run.number, run.status, run.model, run.metadata) == (1, "queued", "openai/x", {"b": 2})
    assert [(message.run_number, message.position, message.content["content"]) for message in said] == [
        (1, 0, "one"),
        (1, 1, "two"),
    ]
    [dispatched] = await queues.visible("runs")
    assert (dispatched.agent_run_id, dispatched.account_id) == (run.agent_run_id, account_id)
    assert dispatched.request_id == "request"
    assert (await queues.delayed("watch"), await queues.delayed("runs")) == (1, 0)


async def test_runs_recorded_at_once_are_numbered_one_after_the_other(
    database: Database, queues: Queues, account_id: str, thread_id: UUID
) -> None:
    recorded = await asyncio.gather(*(record_run(_new(account_id, thread_id, f"of {n}")) for n in range(12)))
    assert sorted(run.number for run in recorded) == list(range(1, 13))
    assert (await database.thread(thread_id))["last_run_number"] == 12
    # Each message has the number of its run.
    async with connection() as taken:
        said = await messages.page(taken, thread_id=thread_id, account_id=account_id, limit=100)
    by_number = {run.number: f"of {n}" for n, run in enumerate(recorded)}
    assert {message.run_number: message.content["content"] for message in said} == by_number


async def test_the_watch_is_sent_before_the_run_is_a_fact(
    database: Database, queues: Queues, account_id: str, thread_id: UUID
) -> None:
    # GIVEN somebody who holds the thread's lock
    async with connection() as taken, taken.transaction():
        await threads.lock(taken, thread_id=thread_id, account_id=account_id)
        # WHEN a run is being recorded
        recording = asyncio.create_task(record_run(_new(account_id, thread_id, "hello")))
        # THEN its watch is there before it is
        assert await until(lambda: queues.delayed("watch")) == 1
        await until(database.waiting_for_a_lock)
        assert await database.count("agent_runs") == 0
        assert await queues.visible("runs") == []
    assert (await recording).number == 1


async def test_without_a_watch_there_is_no_run(
    database: Database, queues: Queues, account_id: str, thread_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCH_QUEUE_URL", queues.urls["watch"] + "-gone")
    opened.forget_settings()
    with pytest.raises(QueueUnavailableError):
        await record_run(_new(account_id, thread_id, "hello"))
    assert (await database.count("agent_runs"), await database.count("messages")) == (0, 0)
    assert await queues.visible("runs") == []


async def test_a_run_that_could_not_be_dispatched_is_left_to_its_watch(
    database: Database, queues: Queues, account_id: str, thread_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNS_QUEUE_URL", queues.urls["runs"] + "-gone")
    opened.forget_settings()
    # No error: whoever is told of one records the run again.
    run = await record_run(_new(account_id, thread_id, "hello"))
    assert (await database.run(run.agent_run_id))["status"] == "queued"
    assert (await database.count("agent_runs"), await queues.delayed("watch")) == (1, 1)


@pytest.mark.parametrize("whose", ["nobody's", "somebody else's"])
async def test_a_failed_transaction_leaves_nothing_but_a_harmless_watch(
    database: Database, queues: Queues, account_id: str, whose: str
) -> None:
    thread_id = uuid4() if whose == "nobody's" else await database.new_thread("somebody else")
    with pytest.raises(NotFoundError, match=repr(str(thread_id))):
        await record_run(_new(account_id, thread_id, "hello"))
    assert (await database.count("agent_runs"), await database.count("messages")) == (0, 0)
    assert (await queues.visible("runs"), await queues.delayed("watch")) == ([], 1)


async def test_a_thread_is_made_with_its_first_run_and_used_by_its_second(
    database: Database, queues: Queues, account_id: str
) -> None:
    thread_id = uuid4()
    recorded = await asyncio.gather(
        *(record_run(_new(account_id, thread_id, "hello", create_thread=True)) for _ in range(2))
    )
    assert sorted(run.number for run in recorded) == [1, 2]
    assert (await database.thread(thread_id))["account_id"] == account_id


async def test_somebody_elses_thread_is_not_made_again(database: Database, queues: Queues, account_id: str) -> None:
    thread_id = await database.new_thread("somebody else")
    with pytest.raises(ConflictError, match=repr(str(thread_id))):
        await record_run(_new(account_id, thread_id, "hello", create_thread=True))
    assert await database.count("agent_runs") == 0


async def test_a_message_id_that_is_taken_is_a_conflict(
    database: Database, queues: Queues, account_id: str, thread_id: UUID
) -> None:
    message_id = uuid4()
    await record.append_message(
        account_id=account_id, thread_id=thread_id, new=_message("first", message_id=message_id)
    )
    again = NewRun(
        account_id=account_id,
        thread_id=thread_id,
        assistant_id="agent",
        messages=[_message("again", message_id=message_id)],
    )
    with pytest.raises(ConflictError, match=repr(str(message_id))):
        await record_run(again)
    assert (await database.count("agent_runs"), await database.count("messages")) == (0, 1)


async def test_a_run_for_later_is_neither_due_nor_dispatched_before(
    database: Database, queues: Queues, account_id: str, thread_id: UUID
) -> None:
    run = await record_run(_new(account_id, thread_id, "hello", after_s=60))
    due_in_s = await database.connection.fetchval(
        "SELECT extract(epoch FROM not_before - now())::float8 FROM agent_runs WHERE agent_run_id = $1",
        run.agent_run_id,
    )
    assert 50 < due_in_s <= 60
    assert (await queues.visible("runs"), await queues.delayed("runs"), await queues.delayed("watch")) == ([], 1, 1)


async def test_a_run_for_next_week_is_watched_within_sqs_longest_delay(
    database: Database, queues: Queues, account_id: str, thread_id: UUID
) -> None:
    await record_run(_new(account_id, thread_id, "hello", after_s=7 * 24 * 3600))
    assert await queues.delayed("watch") == 1


async def test_a_message_without_a_run_belongs_to_the_next_one(
    database: Database, queues: Queues, account_id: str, thread_id: UUID
) -> None:
    await record_run(_new(account_id, thread_id, "first"))
    await record.append_message(account_id=account_id, thread_id=thread_id, new=_message("between"))
    await record_run(_new(account_id, thread_id, "second"))
    async with connection() as taken:
        found = await messages.page(taken, thread_id=thread_id, account_id=account_id, limit=10)
    assert [(message.run_number, message.content["content"]) for message in found] == [
        (1, "first"),
        (2, "between"),
        (2, "second"),
    ]


async def test_a_message_for_a_strangers_thread_is_refused(
    database: Database, account_id: str, thread_id: UUID
) -> None:
    with pytest.raises(NotFoundError):
        await record.append_message(account_id="a stranger", thread_id=thread_id, new=_message("hello"))
    assert await database.count("messages") == 0


@pytest.mark.parametrize("exist_ok", [True, False])
async def test_a_thread_that_exists_is_used_only_by_its_owner_and_only_on_request(
    database: Database, account_id: str, thread_id: UUID, exist_ok: bool
) -> None:
    async def create(who: str) -> None:
        await record.create_thread(account_id=who, thread_id=thread_id, metadata={"new": 1}, exist_ok=exist_ok)

    with pytest.raises(ConflictError, match=repr(str(thread_id))):
        await create("a stranger")
    if exist_ok:
        await create(account_id)
    else:
        with pytest.raises(ConflictError, match="if_exists='do_nothing'"):
            await create(account_id)
    assert (await database.thread(thread_id))["metadata"] == "{}"


async def test_a_database_that_goes_away_in_the_middle_is_unavailable(
    database: Database, queues: Queues, account_id: str, thread_id: UUID
) -> None:
    # GIVEN a run that is being recorded, and waits for the thread's lock
    holder = await database.connect()
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("SELECT FROM threads WHERE thread_id = $1 FOR UPDATE", thread_id)
    recording = asyncio.create_task(record_run(_new(account_id, thread_id, "hello")))
    await until(database.waiting_for_a_lock)
    # WHEN the server ends its connections THEN nothing was recorded, and the caller may try again
    await database.disconnect_all()
    with pytest.raises(DatabaseUnavailableError):
        await recording
    holder.terminate()
    assert await database.count("agent_runs") == 0
    assert (await record_run(_new(account_id, thread_id, "again"))).number == 1


async def test_whoever_waits_too_long_for_a_lock_may_try_again(
    database: Database, queues: Queues, account_id: str, thread_id: UUID
) -> None:
    async with connection() as taken, taken.transaction():
        await threads.lock(taken, thread_id=thread_id, account_id=account_id)
        role = await taken.fetchval("SELECT current_user")
        await database.connection.execute(f"ALTER ROLE {role} IN DATABASE {database.name} SET lock_timeout = '50ms'")
        with pytest.raises(DatabaseUnavailableError):
            await record_run(_new(account_id, thread_id, "hello"))
    assert await database.count("agent_runs") == 0
