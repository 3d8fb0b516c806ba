"""What the holder of a run may write, and that nobody else may."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest

from shared.database import Connection, connection, messages, transaction
from shared.database.queries import queries
from shared.database.run_hold import holding
from shared.domain import AgentRun, Claim, Executor, RunStatus
from shared.errors import DatabaseUnavailableError, LeaseLostError
from shared.runs import holding as holding_module
from shared.runs import transitions
from shared.runs.unheld import end_unheld
from shared.stream import log_hold
from shared.stream.log_hold import SEQ_BLOCK
from tests.integration.databases import LEASE_S, Database
from tests.integration.waiting import until


async def _claimed(
    database: Database,
    account_id: str,
    agent_run_id: UUID | None = None,
    *,
    executor: Executor = "queue",
    lease_s: float = LEASE_S,
) -> Claim:
    if agent_run_id is None:
        agent_run_id = await database.new_run(await database.new_thread(account_id))
    claim = await transitions.claim(
        agent_run_id=agent_run_id, account_id=account_id, executor=executor, lease_s=lease_s
    )
    assert claim is not None
    return claim


@pytest.fixture
async def held(database: Database, account_id: str) -> Claim:
    return await _claimed(database, account_id)


async def _keep(claim: Claim, **metadata: object) -> None:
    async with holding(claim) as connection:
        await messages.insert(
            connection,
            message_id=uuid4(),
            thread_id=claim.thread_id,
            account_id=claim.account_id,
            run_number=claim.number,
            type="assistant",
            content={"role": "assistant", "content": "answer"},
            metadata=metadata,
            agent_run_id=claim.agent_run_id,
        )


async def _finish(claim: Claim, status: RunStatus = "completed") -> None:
    await transitions.finish(claim, status=status, error=None, last_seq=claim.last_seq)


WRITES: dict[str, Callable[[Claim], Awaitable[object]]] = {
    "holding": _keep,
    "reserve": log_hold.reserve,
    "finish": _finish,
    "hand_over": lambda claim: transitions.hand_over(claim, wake_by_s=60, last_seq=claim.last_seq),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_the_holder_may(database: Database, held: Claim, write: Callable[[Claim], Awaitable[object]]) -> None:
    before = await database.run(held.agent_run_id), await database.thread(held.thread_id)
    await write(held)
    after = await database.run(held.agent_run_id), await database.thread(held.thread_id)
    assert after != before or await database.count("messages") == 1


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_a_zombie_may_not_after_a_takeover(
    database: Database, account_id: str, held: Claim, write: Callable[[Claim], Awaitable[object]]
) -> None:
    # GIVEN a holder that slept while its lease ended and another one took over
    await database.expire_lease(held.agent_run_id)
    await _claimed(database, account_id, held.agent_run_id)
    before = await database.run(held.agent_run_id), await database.thread(held.thread_id)
    # WHEN it wakes up THEN whatever it writes is refused
    with pytest.raises(LeaseLostError):
        await write(held)
    assert (await database.run(held.agent_run_id), await database.thread(held.thread_id)) == before
    assert await database.count("messages") == 0


@pytest.mark.parametrize("name", ["holding", "finish", "hand_over"])
async def test_nobody_may_after_the_lease_has_ended(database: Database, held: Claim, name: str) -> None:
    await database.expire_lease(held.agent_run_id)
    before = await database.run(held.agent_run_id)
    with pytest.raises(LeaseLostError):
        await WRITES[name](held)
    assert await database.run(held.agent_run_id) == before
    assert await database.count("messages") == 0


@pytest.mark.parametrize("name", ["holding", "finish", "hand_over"])
async def test_nobody_may_after_the_end(database: Database, held: Claim, name: str) -> None:
    await _finish(held, "failed")
    before = await database.run(held.agent_run_id)
    with pytest.raises(LeaseLostError):
        await WRITES[name](held)
    assert await database.run(held.agent_run_id) == before


async def test_what_fails_while_holding_is_not_kept(database: Database, held: Claim) -> None:
    with pytest.raises(KeyError):
        async with holding(held) as connection:
            await connection.execute("UPDATE agent_runs SET model = 'x' WHERE agent_run_id = $1", held.agent_run_id)
            raise KeyError
    assert (await database.run(held.agent_run_id))["model"] is None


async def test_a_takeover_waits_for_a_write_that_has_begun(database: Database, account_id: str) -> None:
    # GIVEN a write that was begun under a live lease, which ends before the write does
    held = await _claimed(database, account_id, lease_s=2)
    async with holding(held) as connection:
        await until(
            lambda: database.connection.fetchval(
                "SELECT lease_expires_at < clock_timestamp() FROM agent_runs WHERE agent_run_id = $1",
                held.agent_run_id,
            )
        )
        # WHEN another executor claims the run
        takeover = asyncio.create_task(_claimed(database, account_id, held.agent_run_id))
        # THEN it waits: it sees what was written, or the write never happened
        await until(database.waiting_for_a_lock)
        assert not takeover.done()
        await messages.insert(
            connection,
            message_id=uuid4(),
            thread_id=held.thread_id,
            account_id=account_id,
            run_number=held.number,
            type="assistant",
            content={"role": "assistant", "content": "just in time"},
        )
    assert (await takeover).attempt == held.attempt + 1
    assert await database.count("messages") == 1


async def test_a_renewal_and_a_request_to_stop_wait_for_no_write(database: Database, held: Claim) -> None:
    # GIVEN writes that overlap without end
    async with holding(held):
        before = await database.run(held.agent_run_id)
        # WHEN the lease is renewed, and the run is asked to stop
        runs = queries("runs")
        renewed = await database.connection.fetch(runs["renew"], [held.agent_run_id], [held.attempt], 2 * LEASE_S)
        await database.connection.execute(runs["request_stop"], held.agent_run_id, "stop")
        # THEN neither waited
        after = await database.run(held.agent_run_id)
    assert [row["agent_run_id"] for row in renewed] == [held.agent_run_id]
    assert after["lease_expires_at"] > before["lease_expires_at"]
    assert after["stop_requested"] == "stop"


@pytest.mark.parametrize("name", ["finish", "hand_over"])
async def test_who_ends_the_hold_waits_for_a_write_that_has_begun(database: Database, held: Claim, name: str) -> None:
    async with holding(held):
        ending = asyncio.create_task(WRITES[name](held))  # type: ignore[arg-type]
        await until(database.waiting_for_a_lock)
        assert not ending.done()
    await ending


@pytest.mark.parametrize("status", ["completed", "failed", "stopped", "timed_out", "needs_input"])
async def test_an_end_says_how_and_closes_the_log_at_its_last_number(
    database: Database, held: Claim, status: RunStatus
) -> None:
    error = {"code": "x", "message": "y"}
    await transitions.finish(held, status=status, error=error, last_seq=7)
    row = await database.run(held.agent_run_id)
    assert (row["status"], json.loads(row["error"])) == (status, error)
    assert (row["usage"], row["lease_expires_at"], row["settled_at"]) == (None, None, None)
    assert row["ended_at"] >= row["started_at"]
    thread = await database.thread(held.thread_id)
    # The run's end has a number of its own.
    assert (thread["last_seq"], thread["reserved_seq"]) == (8, 8)


async def test_the_tokens_of_a_run_are_those_of_all_its_answers(database: Database, held: Claim) -> None:
    for tokens in (3, 4):
        await _keep(held, usage={"input_tokens": tokens, "output_tokens": 1, "total_tokens": tokens + 1})
    await _keep(held)
    await _finish(held)
    usage = json.loads((await database.run(held.agent_run_id))["usage"])
    assert usage == {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}


@pytest.mark.parametrize(("prices", "price"), [((0.5, 0.25), 0.75), ((0.5, None), None)], ids=["known", "half known"])
async def test_a_runs_end_tells_its_usage_and_its_price_where_every_answer_has_one(
    database: Database, held: Claim, prices: tuple[float | None, ...], price: float | None
) -> None:
    for known in prices:
        used = {"usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}}
        await _keep(held, **used if known is None else {**used, "price_usd": known})
    *_, end = (await transitions.finish(held, status="completed", error=None, last_seq=held.last_seq)).told
    usage = {"input_tokens": 6, "output_tokens": 2, "total_tokens": 8}
    expected = usage if price is None else {**usage, "price_usd": price}
    assert json.loads((await database.run(held.agent_run_id))["usage"]) == expected
    assert json.loads(end.logged.frame)["params"]["data"] == {"event": "completed", "usage": expected}


async def test_a_hand_over_releases_the_lease_to_the_workflow(database: Database, account_id: str, held: Claim) -> None:
    assert await transitions.hand_over(held, wake_by_s=60, last_seq=5) == 1
    row = await database.run(held.agent_run_id)
    assert (row["status"], row["executor"], row["lease_expires_at"]) == ("running", "workflow", None)
    assert row["wake_by"] > row["updated_at"]
    # The next holder goes on with the very next number.
    next_holder = await _claimed(database, account_id, held.agent_run_id, executor="workflow")
    assert (next_holder.last_seq, next_holder.attempt) == (5, held.attempt + 1)
    assert await transitions.hand_over(next_holder, wake_by_s=60, last_seq=5) == 2


async def test_a_zombies_end_does_not_close_the_log_of_its_successor(
    database: Database, account_id: str, held: Claim
) -> None:
    await database.expire_lease(held.agent_run_id)
    await _claimed(database, account_id, held.agent_run_id)
    with pytest.raises(LeaseLostError):
        await transitions.finish(held, status="completed", error=None, last_seq=3)
    assert (await database.thread(held.thread_id))["reserved_seq"] == 2 * SEQ_BLOCK


async def _handed_over(database: Database, account_id: str) -> Claim:
    claim = await _claimed(database, account_id)
    await transitions.hand_over(claim, wake_by_s=60, last_seq=5)
    return claim


async def _fail_unheld(claim: Claim, *, handover_no: int = 1) -> AgentRun | None:
    async with transaction() as taken:
        return await end_unheld(
            taken,
            agent_run_id=claim.agent_run_id,
            status="failed",
            error={"code": "workflow_failed", "message": "x"},
            executor="workflow",
            handover_no=handover_no,
        )


async def test_a_handed_over_run_that_nobody_holds_is_ended_as_failed(database: Database, account_id: str) -> None:
    handed = await _handed_over(database, account_id)
    before = await database.thread(handed.thread_id)
    assert await _fail_unheld(handed) is not None
    row = await database.run(handed.agent_run_id)
    assert (row["status"], json.loads(row["error"])["code"], row["lease_expires_at"]) == (
        "failed",
        "workflow_failed",
        None,
    )
    # Whoever held its log before is refused there too; its end has its number, and waits to be appended.
    after = await database.thread(handed.thread_id)
    assert (after["epoch"], after["last_seq"], after["reserved_seq"]) == (before["epoch"] + 1, 6, 6)
    assert await database.connection.fetch("SELECT seq, logged_at FROM thread_events") == [(6, None)]
    # Whoever was handed the run finds it ended.
    assert await _fail_unheld(handed) is None


@pytest.mark.parametrize(
    ("columns", "how"),
    [
        ({"lease_expires_at": "clock_timestamp() + interval '1 min'"}, {}),
        ({"executor": "'queue'", "handover_no": "2"}, {}),
        ({"handover_no": "2"}, {}),
        ({"status": "'completed'"}, {}),
        ({}, {"handover_no": 0}),
    ],
    ids=["held", "taken back", "handed over again", "ended", "an older hand-over"],
)
async def test_a_run_that_is_not_the_workflows_to_end_is_left_alone(
    database: Database, account_id: str, columns: dict[str, str], how: dict[str, int | str]
) -> None:
    handed = await _handed_over(database, account_id)
    if columns:
        await database.set_run(handed.agent_run_id, **columns)
    before = await database.run(handed.agent_run_id), await database.thread(handed.thread_id)
    assert await _fail_unheld(handed, **how) is None  # type: ignore[arg-type]
    assert (await database.run(handed.agent_run_id), await database.thread(handed.thread_id)) == before


async def test_whether_a_hand_over_is_being_executed(database: Database, account_id: str) -> None:
    handed = await _handed_over(database, account_id)

    async def held() -> tuple[bool, bool]:
        return (
            await transitions.lease_held(agent_run_id=handed.agent_run_id, handover_no=1),
            await transitions.lease_held(agent_run_id=handed.agent_run_id, handover_no=2),
        )

    assert await held() == (False, False)
    await _claimed(database, account_id, handed.agent_run_id, executor="workflow")
    assert await held() == (True, False)
    await database.expire_lease(handed.agent_run_id)
    assert await held() == (False, False)


@pytest.mark.parametrize("lease", ["lives", "has ended"])
async def test_a_lease_that_is_given_back_is_no_crash(
    database: Database, account_id: str, held: Claim, lease: str
) -> None:
    if lease == "has ended":
        await database.expire_lease(held.agent_run_id)
    await database.connection.execute(queries("runs")["release"], held.agent_run_id, held.attempt)
    following = await _claimed(database, account_id, held.agent_run_id)
    assert (following.attempt, following.crashes) == (held.attempt + 1, 0)


async def test_a_lease_that_somebody_else_has_taken_is_not_given_back(
    database: Database, account_id: str, held: Claim
) -> None:
    await database.expire_lease(held.agent_run_id)
    following = await _claimed(database, account_id, held.agent_run_id)
    before = await database.run(held.agent_run_id)
    await database.connection.execute(queries("runs")["release"], held.agent_run_id, held.attempt)
    assert await database.run(held.agent_run_id) == before
    assert following.crashes == 1


async def test_a_lease_is_given_back_when_postgresql_is_there_again(
    database: Database, account_id: str, held: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a holder that PostgreSQL has failed, and goes on failing
    tries = 0

    @asynccontextmanager
    async def away_at_first() -> AsyncIterator[Connection]:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise DatabaseUnavailableError
        async with connection() as taken:
            yield taken

    monkeypatch.setattr(holding_module, "connection", away_at_first)
    monkeypatch.setattr(holding_module, "_PAUSE_S", 0.0)
    await holding_module._release(held, within_s=60)
    assert (await database.run(held.agent_run_id))["lease_expires_at"] is None
    # AND one that has no time left for that leaves it
    following = await _claimed(database, account_id, held.agent_run_id)
    tries = 0
    await holding_module._release(following, within_s=0)
    assert (await database.run(held.agent_run_id))["lease_expires_at"] is not None
