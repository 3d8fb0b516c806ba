"""The limit on an account's unfinished runs: exact, whatever comes at the same time."""

import asyncio
from uuid import UUID, uuid4

import pytest

from shared.database.idempotency import Once, ReplayedError
from shared.domain import AgentRun, MultitaskStrategy
from shared.errors import LimitExceededError, NotFoundError
from shared.migrate import migrate
from shared.runs.record import NewRun, record_run
from tests.integration.databases import Database
from tests.integration.queues import Queues

LIMIT = 3


@pytest.fixture(autouse=True)
async def limited(database: Database, queues: Queues) -> None:
    """The plan as the migrations make it."""
    await database.connection.execute("UPDATE plans SET max_unfinished_runs = $1", LIMIT)


async def _start(
    account_id: str, thread_id: UUID, *, strategy: MultitaskStrategy = "enqueue", once: Once | None = None
) -> AgentRun:
    new = NewRun(
        account_id=account_id, thread_id=thread_id, assistant_id="agent", messages=[], multitask_strategy=strategy
    )
    return await record_run(new, once=once)


async def test_the_default_plan_allows_three(empty_database: Database) -> None:
    await migrate(empty_database.connection, lease_s=30)
    assert await empty_database.connection.fetchval("SELECT max_unfinished_runs FROM plans") == LIMIT


async def test_of_200_simultaneous_starts_exactly_the_allowed_number_is_recorded(
    database: Database, account_id: str
) -> None:
    threads = [await database.new_thread(account_id) for _ in range(20)]
    done = await asyncio.gather(
        *(_start(account_id, threads[number % len(threads)]) for number in range(200)), return_exceptions=True
    )
    assert sum(isinstance(one, AgentRun) for one in done) == LIMIT
    refused = [one for one in done if isinstance(one, LimitExceededError)]
    assert len(refused) == 200 - LIMIT
    assert await database.count("agent_runs") == LIMIT
    busy = {str(one.thread_id) for one in done if isinstance(one, AgentRun)}
    assert refused[-1].detail == {"running_thread_ids": sorted(busy), "running_count": LIMIT, "limit": LIMIT}


async def test_another_account_does_not_notice(database: Database, account_id: str) -> None:
    mine, theirs = await database.new_thread(account_id), await database.new_thread(f"other-{account_id}")
    for _ in range(LIMIT):
        await _start(account_id, mine)
    await _start(f"other-{account_id}", theirs)
    with pytest.raises(LimitExceededError):
        await _start(account_id, mine)


async def test_a_run_that_has_ended_makes_room(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    started = [await _start(account_id, thread_id) for _ in range(LIMIT)]
    await database.set_run(started[0].agent_run_id, status="'completed'")
    await _start(account_id, thread_id)
    with pytest.raises(LimitExceededError):
        await _start(account_id, thread_id)


async def test_what_an_interrupting_run_stops_makes_room_for_it(database: Database, account_id: str) -> None:
    thread_id = await database.new_thread(account_id)
    started = [await _start(account_id, thread_id) for _ in range(LIMIT)]
    await database.set_run(
        started[0].agent_run_id, status="'running'", lease_expires_at="now() + interval '1 h'", attempt="1"
    )
    await _start(account_id, thread_id, strategy="interrupt")
    statuses = await database.connection.fetch("SELECT status FROM agent_runs ORDER BY number")
    assert [row["status"] for row in statuses] == ["running", "stopped", "stopped", "queued"]


async def test_a_request_that_was_carried_out_is_answered_beyond_the_limit_too(
    database: Database, account_id: str
) -> None:
    thread_id = await database.new_thread(account_id)
    once = Once(
        account_id=account_id,
        route="POST /threads/{thread_id}/runs",
        key="a",
        body_hash=b"the same",
        answer=lambda run: {"run_id": str(run.agent_run_id)},
    )
    first = await _start(account_id, thread_id, once=once)
    for _ in range(LIMIT - 1):
        await _start(account_id, thread_id)
    with pytest.raises(ReplayedError) as replayed:
        await _start(account_id, thread_id, once=once)
    assert replayed.value.answer == {"run_id": str(first.agent_run_id)}


async def test_an_account_that_does_not_exist_has_no_thread_to_run_on(account_id: str, database: Database) -> None:
    with pytest.raises(NotFoundError):
        await _start(account_id, uuid4())
    assert await database.count("agent_runs") == 0
