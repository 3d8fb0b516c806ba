"""Settling, and the watch: what is done for runs whose executor did not do it."""

from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from shared import events
from shared.aws.queue import RunMessage
from shared.database import facts, transaction
from shared.runs import transitions
from shared.runs.patience import patience_s
from shared.runs.settle import Done, LookAgain, settle
from tests.integration import opened
from tests.integration.databases import LEASE_S, Database
from tests.integration.queues import Queues
from tests.integration.watch_records import look_after

RUNNING = {"status": "'running'", "attempt": "1"}
SOON = "clock_timestamp() + interval '20 s'"
PAST = "clock_timestamp() - interval '20 s'"
LONG_AGO = "clock_timestamp() - interval '1 day'"


@pytest.fixture
async def thread_id(database: Database, account_id: str) -> UUID:
    return await database.new_thread(account_id)


class Watch:
    """The watch of one run."""

    def __init__(self, account_id: str, thread_id: UUID) -> None:
        self._account_id, self._thread_id = account_id, thread_id

    async def look(self, agent_run_id: UUID, *, age_s: float = 20.0, account_id: str | None = None) -> Done | LookAgain:
        message = RunMessage(
            agent_run_id=agent_run_id, thread_id=self._thread_id, account_id=account_id or self._account_id
        )
        return await look_after(message, age_s=age_s)


@pytest.fixture
def watch(account_id: str, thread_id: UUID) -> Watch:
    return Watch(account_id, thread_id)


def _after_s(outcome: Done | LookAgain) -> float:
    assert isinstance(outcome, LookAgain)
    return outcome.after_s


async def _dispatched(queues: Queues) -> dict[str, list[UUID]]:
    return {
        name: [message.agent_run_id for message in await queues.visible(name)]  # type: ignore[arg-type]
        for name in ("runs", "retry", "watch")
    }


NOTHING: dict[str, list[UUID]] = {"runs": [], "retry": [], "watch": []}


async def test_an_end_dispatches_the_threads_next_run_and_is_settled_once(
    database: Database, queues: Queues, account_id: str, thread_id: UUID
) -> None:
    ended = await database.new_run(thread_id, status="'completed'")
    following = await database.new_run(thread_id, dispatched_at="NULL")
    await database.new_run(thread_id)
    await settle(agent_run_id=ended, thread_id=thread_id, account_id=account_id)
    assert await _dispatched(queues) == {**NOTHING, "runs": [following]}
    assert (await database.run(following))["dispatched_at"] is not None
    settled_at = (await database.run(ended))["settled_at"]
    assert settled_at is not None
    await settle(agent_run_id=ended, thread_id=thread_id, account_id=account_id)
    assert (await database.run(ended))["settled_at"] == settled_at


@pytest.mark.parametrize(
    "following",
    [
        {"not_before": SOON},
        {"stop_requested": "'stop'"},
        {"status": "'completed'"},
        {**RUNNING, "lease_expires_at": SOON},
    ],
    ids=["not due", "stopped", "ended", "running"],
)
async def test_a_run_that_no_claim_would_take_is_not_dispatched(
    database: Database, queues: Queues, account_id: str, thread_id: UUID, following: dict[str, str]
) -> None:
    ended = await database.new_run(thread_id, status="'completed'")
    await database.new_run(thread_id, **following)
    await settle(agent_run_id=ended, thread_id=thread_id, account_id=account_id)
    assert await _dispatched(queues) == NOTHING
    assert (await database.run(ended))["settled_at"] is not None


async def test_an_end_that_nobody_settled_is_settled(
    database: Database, queues: Queues, thread_id: UUID, watch: Watch
) -> None:
    ended = await database.new_run(thread_id, status="'failed'")
    following = await database.new_run(thread_id)
    assert await watch.look(ended) == Done()
    assert await _dispatched(queues) == {**NOTHING, "runs": [following]}
    # It is over: the next look does nothing.
    assert await watch.look(ended) == Done()
    assert await _dispatched(queues) == NOTHING


async def test_an_end_that_cannot_be_settled_yet_is_looked_at_within_a_minute(
    database: Database, queues: Queues, thread_id: UUID, watch: Watch
) -> None:
    # GIVEN an end of long ago that is not in the log, which somebody else holds
    ended = await database.new_run(thread_id, status="'failed'", ended_at="clock_timestamp() - interval '10 minutes'")
    async with transaction() as taken:
        await facts.add(taken, thread_id=thread_id, facts=[events.terminal(ended, "failed", None)])
    await database.new_run(
        thread_id, status="'running'", attempt="1", lease_expires_at="clock_timestamp() + interval '30 s'"
    )
    assert _after_s(await watch.look(ended)) <= 60


@pytest.mark.parametrize(("age_s", "over"), [(0.0, False), (299.0, False), (301.0, True)])
async def test_a_run_that_is_not_there_may_still_be_being_recorded(
    database: Database, queues: Queues, watch: Watch, age_s: float, over: bool
) -> None:
    assert (await watch.look(uuid4(), age_s=age_s) == Done()) == over
    assert await _dispatched(queues) == NOTHING


async def test_what_nobody_can_be_recording_any_more_is_looked_for_less_and_less_often(
    database: Database, watch: Watch
) -> None:
    ages = [0.0]
    while (outcome := await watch.look(uuid4(), age_s=ages[-1])) != Done():
        ages.append(ages[-1] + _after_s(outcome))
    # As often as one that waits, from every look at which it may still be being recorded; then seldom.
    early = [after - before for before, after in pairwise(ages) if before < 30.0]
    assert set(early) == {patience_s()}
    assert len(ages) - len(early) <= 5


async def test_a_forged_account_finds_no_run(database: Database, queues: Queues, thread_id: UUID, watch: Watch) -> None:
    abandoned = await database.new_run(thread_id, **RUNNING, lease_expires_at=PAST)
    assert await watch.look(abandoned, age_s=301, account_id="a stranger") == Done()
    assert await _dispatched(queues) == NOTHING


WAITING: dict[str, tuple[dict[str, str], float]] = {
    "held": ({**RUNNING, "lease_expires_at": SOON}, 21),
    "not due": ({"not_before": SOON}, 21),
    "handed over": ({**RUNNING, "executor": "'workflow'", "wake_by": SOON}, 21),
    "held by the workflow": (
        {**RUNNING, "executor": "'workflow'", "wake_by": PAST, "lease_expires_at": SOON},
        21,
    ),
    "dispatched just now": ({"dispatched_at": "clock_timestamp()"}, 16),
    "dispatched lately": ({"dispatched_at": "clock_timestamp() - interval '10 s'"}, 6),
}


@pytest.mark.parametrize("case", WAITING.values(), ids=WAITING.keys())
async def test_the_watch_waits_for_what_is_still_to_come(
    database: Database, queues: Queues, thread_id: UUID, watch: Watch, case: tuple[dict[str, str], float]
) -> None:
    columns, after_s = case
    agent_run_id = await database.new_run(thread_id, **columns)
    before = await database.run(agent_run_id)
    assert _after_s(await watch.look(agent_run_id)) == pytest.approx(after_s, abs=1)
    assert await database.run(agent_run_id) == before
    assert await _dispatched(queues) == NOTHING


@pytest.mark.parametrize("seconds", [(20, 40), (25, 50), (1000, 60)], ids=lambda seconds: f"after {seconds[0]} s")
async def test_a_run_that_nobody_claimed_is_dispatched_again_less_and_less_often(
    database: Database, queues: Queues, thread_id: UUID, watch: Watch, seconds: tuple[int, float]
) -> None:
    since_s, after_s = seconds
    agent_run_id = await database.new_run(
        thread_id, dispatched_at=f"clock_timestamp() - interval '{since_s} s'", not_before=LONG_AGO
    )
    before = await database.run(agent_run_id)
    assert _after_s(await watch.look(agent_run_id)) == pytest.approx(after_s, abs=2)
    assert await _dispatched(queues) == {**NOTHING, "runs": [agent_run_id]}
    assert (await database.run(agent_run_id))["dispatched_at"] > before["dispatched_at"]


UNSEEN: dict[str, dict[str, str]] = {
    "in a long queue": {"dispatched_at": LONG_AGO},
    "behind another run": {"dispatched_at": LONG_AGO},
    "given back": {**RUNNING, "released_at": LONG_AGO},
    "abandoned": {**RUNNING, "lease_expires_at": LONG_AGO},
    "left by its workflow": {**RUNNING, "executor": "'workflow'", "wake_by": PAST, "released_at": LONG_AGO},
}


@pytest.mark.parametrize("where", UNSEEN)
async def test_what_becomes_of_a_run_is_seen_within_a_minute(
    database: Database, queues: Queues, thread_id: UUID, watch: Watch, where: str
) -> None:
    if where == "behind another run":
        await database.new_run(thread_id)
    agent_run_id = await database.new_run(thread_id, **UNSEEN[where])
    assert _after_s(await watch.look(agent_run_id)) <= 60


async def test_an_abandoned_run_goes_through_the_retry_queue(
    database: Database, queues: Queues, thread_id: UUID, account_id: str, watch: Watch
) -> None:
    abandoned = await database.new_run(thread_id, **RUNNING, lease_expires_at=PAST, dispatched_at=PAST)
    assert _after_s(await watch.look(abandoned)) >= 15
    [message] = await queues.visible("retry")
    assert (message.agent_run_id, message.account_id) == (abandoned, account_id)
    claim = await transitions.claim(
        agent_run_id=message.agent_run_id, account_id=message.account_id, executor="queue", lease_s=LEASE_S
    )
    assert claim is not None
    assert claim.attempt == 2


async def test_a_hand_over_that_nobody_woke_up_for_is_taken_back(
    database: Database, queues: Queues, thread_id: UUID, account_id: str, watch: Watch
) -> None:
    handed = await database.new_run(
        thread_id, **RUNNING, executor="'workflow'", handover_no="1", wake_by=PAST, dispatched_at=PAST
    )
    await watch.look(handed)
    row = await database.run(handed)
    assert (row["executor"], row["handover_no"], row["crashes"]) == ("queue", 2, 0)
    assert await _dispatched(queues) == {**NOTHING, "runs": [handed]}
    # The workflow that wakes up too late finds another hand-over.
    for executor, handover_no, claimed in (("workflow", 1, False), ("queue", None, True)):
        claim = await transitions.claim(
            agent_run_id=handed,
            account_id=account_id,
            executor=executor,  # type: ignore[arg-type]
            lease_s=LEASE_S,
            handover_no=handover_no,
        )
        assert (claim is not None) == claimed


@pytest.mark.parametrize("seconds", [(20, 40), (25, 50), (1000, 60)], ids=lambda seconds: f"after {seconds[0]} s")
async def test_a_run_that_was_given_back_is_dispatched_less_and_less_often(
    database: Database, queues: Queues, thread_id: UUID, watch: Watch, seconds: tuple[int, float]
) -> None:
    since_s, after_s = seconds
    given_back = await database.new_run(
        thread_id, **RUNNING, released_at=f"clock_timestamp() - interval '{since_s} s'", dispatched_at=PAST
    )
    assert _after_s(await watch.look(given_back)) == pytest.approx(after_s, abs=2)
    assert await _dispatched(queues) == {**NOTHING, "runs": [given_back]}


async def test_a_workflow_that_died_at_work_is_taken_back_too(
    database: Database, queues: Queues, thread_id: UUID, watch: Watch
) -> None:
    abandoned = await database.new_run(
        thread_id, **RUNNING, executor="'workflow'", handover_no="1", wake_by=PAST, lease_expires_at=PAST
    )
    await watch.look(abandoned)
    assert (await database.run(abandoned))["executor"] == "queue"
    assert await _dispatched(queues) == {**NOTHING, "retry": [abandoned]}


async def test_the_watch_needs_but_one_connection(
    database: Database,
    queues: Queues,
    thread_id: UUID,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every function of a stage has a small pool: whoever holds a connection while waiting for another is stuck."""
    monkeypatch.setenv("POSTGRES_POOL_SIZE", "1")
    opened.forget_settings()
    ended = await database.new_run(thread_id, status="'failed'")
    assert await watch.look(ended) == Done()
