"""Claiming a run: who may, and what it makes of the run and its thread."""

import asyncio
from uuid import UUID, uuid4

import pytest

from shared.domain import Claim, Executor
from shared.runs import transitions
from shared.stream import log_hold
from shared.stream.log_hold import SEQ_BLOCK
from tests.integration.databases import LEASE_S, Database

FUTURE = "clock_timestamp() + interval '1 min'"
PAST = "clock_timestamp() - interval '1 min'"


@pytest.fixture
async def thread_id(database: Database, account_id: str) -> UUID:
    return await database.new_thread(account_id)


async def _claim(
    account_id: str, agent_run_id: UUID, *, executor: Executor = "queue", handover_no: int | None = None
) -> Claim | None:
    return await transitions.claim(
        agent_run_id=agent_run_id,
        account_id=account_id,
        executor=executor,
        lease_s=LEASE_S,
        handover_no=handover_no,
    )


RUNNING = {"status": "'running'", "attempt": "1"}
HANDED_OVER = {**RUNNING, "executor": "'workflow'", "handover_no": "2"}

ALLOWED: dict[str, tuple[dict[str, str], tuple[Executor, int | None]]] = {
    "queued": ({}, ("queue", None)),
    "queued and just due": ({"not_before": PAST}, ("queue", None)),
    "its holder died": ({**RUNNING, "lease_expires_at": PAST}, ("queue", None)),
    "its holder died after a stop was asked for": (
        {**RUNNING, "lease_expires_at": PAST, "stop_requested": "'stop'"},
        ("queue", None),
    ),
    "handed over": (HANDED_OVER, ("workflow", 2)),
    "the workflow's holder died": ({**HANDED_OVER, "lease_expires_at": PAST}, ("workflow", 2)),
    "released": (RUNNING, ("queue", None)),
}
REFUSED: dict[str, tuple[dict[str, str], tuple[Executor, int | None]]] = {
    "not due": ({"not_before": FUTURE}, ("queue", None)),
    "stopped before it began": ({"stop_requested": "'stop'"}, ("queue", None)),
    "queued, for the workflow": ({"executor": "'workflow'"}, ("queue", None)),
    "queued, asked for by the workflow": ({}, ("workflow", None)),
    "held": ({**RUNNING, "lease_expires_at": FUTURE}, ("queue", None)),
    "handed over, asked for by the queue": (HANDED_OVER, ("queue", None)),
    "handed over once more": (HANDED_OVER, ("workflow", 1)),
    "handed over not yet": (HANDED_OVER, ("workflow", 3)),
    "held by the workflow": ({**HANDED_OVER, "lease_expires_at": FUTURE}, ("workflow", 2)),
    "completed": ({"status": "'completed'"}, ("queue", None)),
    "failed": ({"status": "'failed'"}, ("queue", None)),
    "stopped": ({"status": "'stopped'"}, ("queue", None)),
    "timed out": ({"status": "'timed_out'"}, ("queue", None)),
    "needs input": ({"status": "'needs_input'"}, ("queue", None)),
}


@pytest.mark.parametrize(("columns", "how"), ALLOWED.values(), ids=ALLOWED.keys())
async def test_a_run_is_claimed(
    database: Database,
    account_id: str,
    thread_id: UUID,
    columns: dict[str, str],
    how: tuple[Executor, int | None],
) -> None:
    executor, handover_no = how
    agent_run_id = await database.new_run(thread_id, **columns)
    before = await database.run(agent_run_id)
    claim = await _claim(account_id, agent_run_id, executor=executor, handover_no=handover_no)
    assert claim is not None
    after = await database.run(agent_run_id)
    assert (after["status"], after["attempt"]) == ("running", before["attempt"] + 1)
    assert (claim.attempt, claim.executor, claim.handover_no) == (after["attempt"], executor, before["handover_no"])
    assert after["lease_expires_at"] > after["started_at"]


@pytest.mark.parametrize(("columns", "how"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_run_is_refused_and_left_as_it_was(
    database: Database,
    account_id: str,
    thread_id: UUID,
    columns: dict[str, str],
    how: tuple[Executor, int | None],
) -> None:
    executor, handover_no = how
    agent_run_id = await database.new_run(thread_id, **columns)
    before = await database.run(agent_run_id), await database.thread(thread_id)
    assert await _claim(account_id, agent_run_id, executor=executor, handover_no=handover_no) is None
    assert (await database.run(agent_run_id), await database.thread(thread_id)) == before


@pytest.mark.parametrize(
    ("earlier", "claimed"),
    [
        ({}, False),
        ({"not_before": FUTURE}, True),
        ({**RUNNING, "lease_expires_at": FUTURE}, False),
        ({**RUNNING, "lease_expires_at": PAST}, False),
        (HANDED_OVER, False),
        ({"status": "'completed'"}, True),
        ({"status": "'stopped'"}, True),
    ],
    ids=["queued", "not due", "running", "abandoned", "handed over", "completed", "stopped"],
)
async def test_a_run_waits_for_the_earlier_ones_of_its_thread(
    database: Database, account_id: str, thread_id: UUID, earlier: dict[str, str], claimed: bool
) -> None:
    await database.new_run(thread_id, **earlier)
    agent_run_id = await database.new_run(thread_id)
    assert (await _claim(account_id, agent_run_id) is not None) == claimed


async def test_a_run_waits_for_no_later_one_and_for_no_other_thread(
    database: Database, account_id: str, thread_id: UUID
) -> None:
    agent_run_id = await database.new_run(thread_id)
    await database.new_run(thread_id)
    await database.new_run(await database.new_thread(account_id), **RUNNING, lease_expires_at=FUTURE)
    assert await _claim(account_id, agent_run_id) is not None


async def test_of_many_at_once_exactly_one_wins(database: Database, account_id: str, thread_id: UUID) -> None:
    agent_run_id = await database.new_run(thread_id)
    claims = await asyncio.gather(*(_claim(account_id, agent_run_id) for _ in range(12)))
    assert [claim.attempt for claim in claims if claim is not None] == [1]
    assert (await database.thread(thread_id))["epoch"] == 1


async def test_of_two_runs_of_a_thread_exactly_one_is_executed(
    database: Database, account_id: str, thread_id: UUID
) -> None:
    # GIVEN a run that was abandoned, and a later one that is due (its predecessor had not been, at its dispatch)
    first = await database.new_run(thread_id, **RUNNING, lease_expires_at=PAST)
    second = await database.new_run(thread_id)
    # WHEN both are claimed at once THEN the later one waits
    claims = await asyncio.gather(*(_claim(account_id, run) for run in (second, first, second, first)))
    assert {claim.agent_run_id for claim in claims if claim is not None} == {first}


@pytest.mark.parametrize("whose", ["a stranger", ""])
async def test_a_forged_account_claims_nothing(
    database: Database, account_id: str, thread_id: UUID, whose: str
) -> None:
    agent_run_id = await database.new_run(thread_id)
    assert await _claim(whose, agent_run_id) is None
    assert (await database.run(agent_run_id))["status"] == "queued"


async def test_a_run_that_does_not_exist_is_not_claimed(database: Database, account_id: str) -> None:
    assert await _claim(account_id, uuid4()) is None


async def test_crashes_count_the_leases_that_ended_and_not_the_hand_overs(
    database: Database, account_id: str, thread_id: UUID
) -> None:
    agent_run_id = await database.new_run(thread_id)
    first = await _claim(account_id, agent_run_id)
    assert (await database.run(agent_run_id))["crashes"] == 0

    await database.expire_lease(agent_run_id)
    second = await _claim(account_id, agent_run_id)
    assert first is not None and second is not None
    assert (await database.run(agent_run_id))["crashes"] == 1

    handover_no = await transitions.hand_over(second, wake_by_s=60, last_seq=0)
    third = await _claim(account_id, agent_run_id, executor="workflow", handover_no=handover_no)
    assert third is not None
    row = await database.run(agent_run_id)
    assert (row["crashes"], row["attempt"], third.attempt) == (1, 3, 3)
    assert row["started_at"] < row["lease_expires_at"]


async def test_each_claim_has_an_epoch_and_numbers_of_its_own(
    database: Database, account_id: str, thread_id: UUID
) -> None:
    # GIVEN a first claim: its events begin at 1
    agent_run_id = await database.new_run(thread_id)
    first = await _claim(account_id, agent_run_id)
    assert first is not None
    assert (first.epoch, first.last_seq, first.reserved_seq) == (1, 0, SEQ_BLOCK)
    assert await log_hold.reserve(first) == 2 * SEQ_BLOCK
    # WHEN its holder dies THEN the next one begins after everything that it may have used
    await database.expire_lease(agent_run_id)
    second = await _claim(account_id, agent_run_id)
    assert second is not None
    assert (second.epoch, second.last_seq, second.reserved_seq) == (2, 2 * SEQ_BLOCK, 3 * SEQ_BLOCK)
    # WHEN that one ends cleanly THEN the next goes on exactly where it ended
    last_seq = 2 * SEQ_BLOCK + 7
    await transitions.finish(second, status="completed", error=None, last_seq=last_seq)
    third = await _claim(account_id, await database.new_run(thread_id))
    assert third is not None
    # Behind the takeover and the end, which were facts without a number until then.
    assert (third.epoch, third.last_seq, third.reserved_seq) == (3, last_seq + 2, last_seq + 2 + SEQ_BLOCK)


async def test_a_claim_says_what_to_work_on(database: Database, account_id: str, thread_id: UUID) -> None:
    agent_run_id = await database.new_run(thread_id, model="'openai/x'", config="""'{"queue_time_s": 0}'""")
    claim = await _claim(account_id, agent_run_id)
    assert claim is not None
    assert (claim.agent_run_id, claim.thread_id, claim.account_id) == (agent_run_id, thread_id, account_id)
    assert (claim.number, claim.executor, claim.lease_s) == (1, "queue", LEASE_S)
    assert (claim.assistant_id, claim.model, claim.config) == ("agent", "openai/x", {"queue_time_s": 0})


@pytest.mark.parametrize(
    ("columns", "waited_s"),
    [
        ({"executor": "'workflow'", "released_at": "clock_timestamp() - interval '10 min'"}, 600),
        ({"lease_expires_at": "clock_timestamp() - interval '10 min'"}, 600),
        ({"released_at": "clock_timestamp() - interval '10 min'", "waited_s": "1000"}, 1600),
    ],
    ids=["handed over", "abandoned", "waited before"],
)
async def test_waiting_is_not_running(
    database: Database, account_id: str, thread_id: UUID, columns: dict[str, str], waited_s: float
) -> None:
    columns = {**RUNNING, "started_at": "clock_timestamp() - interval '30 min'", **columns}
    agent_run_id = await database.new_run(thread_id, **columns)
    executor: Executor = "workflow" if "executor" in columns else "queue"
    claim = await _claim(account_id, agent_run_id, executor=executor)
    assert claim is not None
    assert claim.running_s == pytest.approx(1800 - waited_s, abs=5)
    # What it has waited is counted once.
    await transitions.hand_over(claim, wake_by_s=60, last_seq=claim.last_seq)
    claim = await _claim(account_id, agent_run_id, executor="workflow")
    assert claim is not None
    assert claim.running_s == pytest.approx(1800 - waited_s, abs=5)
