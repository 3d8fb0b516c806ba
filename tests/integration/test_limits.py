"""The limit on an account's unfinished runs: exact, whatever comes at the same time."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.database import plans, transaction
from shared.database.idempotency import Once, ReplayedError
from shared.domain import AgentRun, MultitaskStrategy
from shared.errors import ConflictError, LimitExceededError, NotFoundError
from shared.migrate import migrate
from shared.runs.appending import append_while_idle
from shared.runs.record import NewMessage, NewRun, append_message, record_run
from tests.integration.databases import Database
from tests.integration.queues import Queues
from tests.integration.waiting import until

LIMIT = 3
HELD = {"status": "'running'", "lease_expires_at": "clock_timestamp() + interval '1 h'", "attempt": "1"}


@pytest.fixture(autouse=True)
async def limited(database: Database, queues: Queues) -> None:
    """The plan as the migrations make it."""
    await database.connection.execute("UPDATE plans SET max_unfinished_runs = $1", LIMIT)


async def _start(
    account_id: str,
    thread_id: UUID,
    *,
    strategy: MultitaskStrategy = "enqueue",
    once: Once | None = None,
    create_thread: bool = False,
) -> AgentRun:
    said = NewMessage(type="user", content={"role": "user", "content": "hello"})
    new = NewRun(
        account_id=account_id,
        thread_id=thread_id,
        assistant_id="agent",
        messages=[said],
        multitask_strategy=strategy,
        create_thread=create_thread,
    )
    return await record_run(new, once=once)


async def _refused(account_id: str, thread_id: UUID, *, strategy: MultitaskStrategy = "enqueue") -> LimitExceededError:
    with pytest.raises(LimitExceededError) as refused:
        await _start(account_id, thread_id, strategy=strategy)
    return refused.value


async def test_the_default_plan_allows_three(empty_database: Database) -> None:
    await migrate(empty_database.connection, lease_s=30)
    rows = await empty_database.connection.fetch("SELECT plan_id, max_unfinished_runs FROM plans")
    assert [tuple(row) for row in rows] == [("default", LIMIT)]


@pytest.mark.parametrize("create_thread", [False, True], ids=["on threads that exist", "that make their threads"])
async def test_of_200_simultaneous_starts_exactly_the_allowed_number_is_recorded(
    database: Database, account_id: str, create_thread: bool
) -> None:
    threads = [uuid4() if create_thread else await database.new_thread(account_id) for _ in range(40)]
    done = await asyncio.gather(
        *(_start(account_id, threads[n % len(threads)], create_thread=create_thread) for n in range(200)),
        return_exceptions=True,
    )
    recorded = [one for one in done if isinstance(one, AgentRun)]
    refused = [one for one in done if isinstance(one, LimitExceededError)]
    assert (len(recorded), len(refused)) == (LIMIT, 200 - LIMIT)
    assert (await database.count("agent_runs"), await database.count("messages")) == (LIMIT, LIMIT)
    busy = sorted({str(run.thread_id) for run in recorded})
    assert all(
        error.detail == {"running_thread_ids": busy, "running_count": LIMIT, "limit": LIMIT} for error in refused
    )
    assert all(thread_id in refused[0].message for thread_id in busy)
    # What is refused leaves no thread behind either.
    assert await database.count("threads") == (len(busy) if create_thread else len(threads))


async def test_another_account_does_not_notice(database: Database, account_id: str) -> None:
    mine, theirs = await database.new_thread(account_id), await database.new_thread(f"other-{account_id}")
    for _ in range(LIMIT):
        await _start(account_id, mine)
    assert (await _start(f"other-{account_id}", theirs)).status == "queued"
    await _refused(account_id, mine)


async def test_another_account_does_not_wait(database: Database, account_id: str) -> None:
    mine, theirs = await database.new_thread(account_id), await database.new_thread(f"other-{account_id}")
    holder = await database.connect()
    async with holder.transaction():
        await holder.execute("SELECT FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE", account_id)
        waiting = asyncio.create_task(_start(account_id, mine))
        await until(database.waiting_for_a_lock)
        assert (await _start(f"other-{account_id}", theirs)).status == "queued"
        assert not waiting.done()
    assert (await waiting).status == "queued"
    await holder.close()


@pytest.mark.parametrize("ended", ["completed", "failed", "stopped", "timed_out", "needs_input"])
async def test_a_run_that_has_ended_makes_room(database: Database, account_id: str, ended: str) -> None:
    thread_id = await database.new_thread(account_id)
    started = [await _start(account_id, thread_id) for _ in range(LIMIT)]
    await database.set_run(started[0].agent_run_id, status=f"'{ended}'")
    await _start(account_id, thread_id)
    await _refused(account_id, thread_id)


@pytest.mark.parametrize(
    "columns",
    [
        {"not_before": "now() + interval '1 h'"},
        HELD,
        {"status": "'running'", "executor": "'workflow'", "lease_expires_at": "NULL"},
        HELD | {"stop_requested": "'stop'"},
    ],
    ids=["due later", "running", "handed over", "asked to stop"],
)
async def test_whatever_has_not_ended_counts(database: Database, account_id: str, columns: dict[str, str]) -> None:
    for _ in range(LIMIT):
        await database.new_run(await database.new_thread(account_id), **columns)
    error = await _refused(account_id, await database.new_thread(account_id))
    assert isinstance(error.detail, dict)
    assert error.detail["running_count"] == LIMIT


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_what_a_strategy_stops_makes_room(
    database: Database, account_id: str, strategy: MultitaskStrategy
) -> None:
    thread_id = await database.new_thread(account_id)
    started = [await _start(account_id, thread_id) for _ in range(LIMIT)]
    await database.set_run(started[0].agent_run_id, **HELD)
    await _start(account_id, thread_id, strategy=strategy)
    statuses = await database.connection.fetch("SELECT status FROM agent_runs ORDER BY number")
    assert [row["status"] for row in statuses] == ["running", "stopped", "stopped", "queued"]


async def test_every_thread_may_interrupt_its_own_run_at_the_limit(database: Database, account_id: str) -> None:
    # GIVEN an account at its limit, on as many threads
    threads = [await database.new_thread(account_id) for _ in range(LIMIT)]
    for thread_id in threads:
        await database.set_run((await _start(account_id, thread_id)).agent_run_id, **HELD)
    # WHEN each thread's run is interrupted by another one, THEN that one is recorded
    for thread_id in threads:
        assert (await _start(account_id, thread_id, strategy="interrupt")).status == "queued"
    # AND there is no room besides, nor for a second one behind the first
    await _refused(account_id, await database.new_thread(account_id), strategy="interrupt")
    error = await _refused(account_id, threads[0])
    assert error.detail == {"running_thread_ids": sorted(map(str, threads)), "running_count": LIMIT, "limit": LIMIT}


async def test_a_refused_interrupt_stops_nothing(database: Database, account_id: str) -> None:
    threads = [await database.new_thread(account_id) for _ in range(LIMIT)]
    for thread_id in threads:
        await _start(account_id, thread_id)
    # GIVEN a plan that has become smaller meanwhile
    await database.connection.execute("UPDATE plans SET max_unfinished_runs = 1")
    await _refused(account_id, threads[0], strategy="interrupt")
    statuses = await database.connection.fetch("SELECT status FROM agent_runs")
    assert [row["status"] for row in statuses] == ["queued"] * LIMIT


async def test_a_busy_thread_is_told_of_before_the_limit(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    for _ in range(LIMIT):
        await _start(account_id, thread_id)
    with pytest.raises(ConflictError):
        await _start(account_id, thread_id, strategy="reject")
    await _refused(account_id, await database.new_thread(account_id), strategy="reject")


async def test_a_request_that_was_carried_out_is_answered_at_the_limit_too(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)

    def once(key: str) -> Once:
        return Once(
            account_id=account_id,
            route="POST /threads/{thread_id}/runs",
            key=key,
            body_hash=b"the same",
            answer=lambda run: {"run_id": str(run.agent_run_id)},
        )

    started = [await _start(account_id, thread_id, once=once("first"))]
    started += [await _start(account_id, thread_id) for _ in range(LIMIT - 1)]
    with pytest.raises(ReplayedError) as replayed:
        await _start(account_id, thread_id, once=once("first"))
    assert replayed.value.answer == {"run_id": str(started[0].agent_run_id)}
    # A refusal is no answer that is kept: the same key works when there is room.
    with pytest.raises(LimitExceededError):
        await _start(account_id, thread_id, once=once("second"))
    await database.set_run(started[0].agent_run_id, status="'completed'")
    assert (await _start(account_id, thread_id, once=once("second"))).number == LIMIT + 1


async def test_an_operator_changes_limits_by_sql(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    for _ in range(LIMIT):
        await _start(account_id, thread_id)
    await database.connection.execute("INSERT INTO plans VALUES ('more', $1)", LIMIT + 1)
    await database.connection.execute("UPDATE accounts SET plan_id = 'more' WHERE account_id = $1", account_id)
    await _start(account_id, thread_id)
    error = await _refused(account_id, thread_id)
    assert isinstance(error.detail, dict)
    assert error.detail["limit"] == LIMIT + 1


async def test_who_waited_for_the_account_is_judged_by_its_plan_as_it_is_then(
    database: Database, account_id: str
) -> None:
    thread_id = await database.new_thread(account_id)
    await _start(account_id, thread_id)
    operator = await database.connect()
    async with operator.transaction():
        await operator.execute("INSERT INTO plans VALUES ('less', 1)")
        await operator.execute("UPDATE accounts SET plan_id = 'less' WHERE account_id = $1", account_id)
        waiting = asyncio.create_task(_start(account_id, thread_id))
        await until(database.waiting_for_a_lock)
    await operator.close()
    with pytest.raises(LimitExceededError, match="allows 1"):
        await waiting


async def test_an_account_that_is_not_there_has_no_room(database: Database, account_id: str) -> None:
    with pytest.raises(NotFoundError):
        await _start(account_id, uuid4())
    async with transaction() as taken:
        with pytest.raises(NotFoundError):
            await plans.usage(taken, account_id=account_id, thread_id=uuid4())
    assert await database.count("agent_runs") == 0


async def test_a_plan_that_accounts_are_on_cannot_go(database: Database, account_id: str) -> None:
    await database.new_thread(account_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await database.connection.execute("DELETE FROM plans")


async def test_unfinished_runs_are_found_by_an_index(database: Database, account_id: str) -> None:
    await database.connection.execute("SET enable_seqscan = off")
    query = plans._SQL["usage"]  # pyright: ignore[reportPrivateUsage]
    lines = await database.connection.fetch(f"EXPLAIN {query}", account_id, uuid4())
    assert any("unfinished_runs_of_account" in line[0] for line in lines)


async def test_a_thread_takes_no_more_messages_than_its_plan_allows(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    await database.connection.execute("UPDATE plans SET max_thread_messages = 3")
    said = NewMessage(type="user", content={"role": "user", "content": "hello"})
    await append_message(account_id=account_id, thread_id=thread_id, new=said)

    # Not all of them fit, so none is written.
    many = [replace(said, message_id=uuid4()) for _ in range(3)]
    with pytest.raises(ConflictError, match=r"has 1 messages, .* allows 3: go on on another thread"):
        await append_while_idle(account_id=account_id, thread_id=thread_id, new=many)
    await append_while_idle(account_id=account_id, thread_id=thread_id, new=many[:1])
    await _start(account_id, thread_id)
    with pytest.raises(ConflictError, match="has 3 messages") as refused:
        await _start(account_id, thread_id)
    assert refused.value.detail == {"thread_messages": 3, "max_thread_messages": 3}
    with pytest.raises(ConflictError, match="has 3 messages"):
        await append_message(account_id=account_id, thread_id=thread_id, new=replace(said, message_id=uuid4()))
    assert (await database.count("messages"), await database.count("agent_runs")) == (3, 1)
    await _start(account_id, await database.new_thread(account_id))

    await database.connection.execute("UPDATE plans SET max_thread_messages = NULL")
    await _start(account_id, thread_id)
