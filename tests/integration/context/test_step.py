"""The workflow's step Summarize, on real servers."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.summarizer.summarizing import Summarized, Summarizing
from shared.aws.queue import RunMessage
from shared.context import summaries as summaries_module
from shared.context.manager import ContextManager
from shared.errors import LeaseHeldError
from shared.llm import Llm
from shared.prices import Prices
from shared.runs import transitions
from shared.runs.lease import LeaseKeeper
from shared.runs.step import Step
from shared.settings import Price
from shared.stream import log
from tests.integration.context.conftest import MODEL
from tests.integration.context.growing import GrowingThread
from tests.integration.context.model_server import ModelServer
from tests.integration.waiting import until
from tests.thread_logs import log_in_database

pytestmark = pytest.mark.usefixtures("subscriptions_table", "model")


def summarizing(
    manager: ContextManager, *, lease_s: float = 30.0, prices: dict[str, Price] | None = None
) -> Summarizing:
    """The function's composition, but for its settings."""
    return Summarizing(
        context_manager=manager,
        default_model=MODEL,
        prices=Prices({MODEL: Price(input=1, output=1)} if prices is None else prices),
        keeper=LeaseKeeper(lease_s=lease_s),
        lease_s=lease_s,
        wake_by_s=60,
    )


def step_of(thread: GrowingThread, handover_no: int) -> Step:
    """What the workflow's payload says."""
    claim = thread.claim
    message = RunMessage(agent_run_id=claim.agent_run_id, thread_id=claim.thread_id, account_id=claim.account_id)
    return Step(message=message, handover_no=handover_no)


async def handed_over(thread: GrowingThread, turns: int = 40) -> Step:
    """A run whose context is full, given to the workflow."""
    await thread.turns(turns)
    claim = await thread.run("go on")
    return step_of(thread, await transitions.hand_over(claim, wake_by_s=60, last_seq=claim.last_seq))


async def events_of(thread_id: UUID) -> list[dict[str, Any]]:
    """What the thread's log holds."""
    return [
        json.loads(entry.frame) for entry in await log.read(await log_in_database(thread_id), after_seq=0, limit=100)
    ]


async def test_a_handed_over_run_is_summarised_told_and_handed_on(
    thread: GrowingThread, manager: ContextManager
) -> None:
    step = await handed_over(thread)
    done = await summarizing(manager).summarize(step, remaining_s=300)

    assert done == Summarized(outcome="summarised", next_step="advance", handover_no=step.handover_no + 1)
    (row,) = await thread.summaries()
    *_, event = await events_of(thread.thread_id)
    assert (event["method"], event["params"]["data"]["name"]) == ("custom", "summary")
    payload = event["params"]["data"]["payload"]
    assert payload == {"message_id": str(row["message_id"]), **json.loads(row["metadata"])}
    assert payload["covers_up_to"]["run_number"] == row["covers_run_number"]
    assert payload["token_count"] > payload["summary_tokens"] > 0
    # The run is the next step's: released, not ended, and its numbers go on where this one's ended.
    run = await thread.database.run(thread.claim.agent_run_id)
    assert (run["status"], run["executor"], run["lease_expires_at"]) == ("running", "workflow", None)
    state = await thread.database.thread(thread.thread_id)
    assert state["last_seq"] == state["reserved_seq"] == event["seq"]


async def test_a_model_that_the_plan_does_not_allow_makes_no_summary(
    thread: GrowingThread, manager: ContextManager, model: ModelServer
) -> None:
    step = await handed_over(thread)
    await thread.database.connection.execute("UPDATE plans SET models = $1", ["anthropic/*"])
    done = await summarizing(manager).summarize(step, remaining_s=300)
    assert (done.outcome, done.next_step) == ("summary_failed", "advance")
    assert (model.calls(), await thread.summaries()) == ([], [])


@pytest.mark.parametrize("is_listed", [False, True])
async def test_a_key_that_the_plan_does_not_list_pays_for_no_summary(
    thread: GrowingThread,
    manager: ContextManager,
    model: ModelServer,
    llm: Llm,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_listed: bool,
) -> None:
    monkeypatch.setattr(llm, "_keys", {"OPENAI_API_KEY_TEAM_A": "team"})
    step = await handed_over(thread)
    await thread.database.connection.execute(
        "UPDATE agent_runs SET config = $2 WHERE agent_run_id = $1",
        thread.claim.agent_run_id,
        json.dumps({"agent": {"provider_key": "OPENAI_API_KEY_TEAM_A"}}),
    )
    listed = "OPENAI_API_KEY_TEAM_A" if is_listed else "OPENAI_API_KEY_TEAM_B"
    await thread.database.connection.execute("UPDATE plans SET provider_keys = $1", [listed])
    done = await summarizing(manager).summarize(step, remaining_s=300)
    assert (done.outcome, done.next_step) == ("summarised" if is_listed else "summary_failed", "advance")
    assert bool(model.calls()) is bool(await thread.summaries()) is is_listed


@pytest.mark.parametrize("has_ended", [False, True], ids=["handed over", "ended"])
@pytest.mark.parametrize("bound", ["max_run_tokens = 1", "max_day_tokens = 1", "max_run_cost_usd = 1"])
async def test_a_spent_account_or_a_model_without_a_price_makes_no_summary(
    thread: GrowingThread, manager: ContextManager, model: ModelServer, bound: str, *, has_ended: bool
) -> None:
    step = await handed_over(thread)
    await thread.database.connection.execute(
        "INSERT INTO unkept_answers (answer_id, thread_id, account_id, run_number, metadata)"
        """ VALUES (gen_random_uuid(), $1, $2, $3, '{"usage": {"total_tokens": 5}}')""",
        thread.thread_id,
        thread.account_id,
        thread.claim.number,
    )
    if has_ended:
        ended = "status = 'completed', ended_at = now(), lease_expires_at = NULL, wake_by = NULL"
        await thread.database.connection.execute(
            f"UPDATE agent_runs SET {ended} WHERE agent_run_id = $1",  # noqa: S608
            thread.claim.agent_run_id,
        )
    plans = thread.database.connection
    await plans.execute("UPDATE plans SET max_run_tokens = NULL, max_run_cost_usd = NULL, max_day_cost_usd = NULL")
    await plans.execute(f"UPDATE plans SET {bound}")  # noqa: S608
    done = await summarizing(manager, prices={}).summarize(step, remaining_s=300)
    assert (done.outcome, done.next_step) == ("summary_failed", "end" if has_ended else "advance")
    assert (model.calls(), await thread.summaries()) == ([], [])


async def test_a_hand_over_that_is_over_is_refused(thread: GrowingThread, manager: ContextManager) -> None:
    step = await handed_over(thread)
    later = Step(message=step.message, handover_no=step.handover_no + 1)
    assert await summarizing(manager).summarize(later, remaining_s=300) == Summarized(outcome="refused")
    forged = RunMessage(agent_run_id=step.message.agent_run_id, thread_id=uuid4(), account_id="a stranger")
    strange = Step(message=forged, handover_no=step.handover_no)
    assert await summarizing(manager).summarize(strange, remaining_s=300) == Summarized(outcome="refused")
    assert await thread.summaries() == []


async def test_a_held_lease_is_waited_for(thread: GrowingThread, manager: ContextManager) -> None:
    step = await handed_over(thread)
    await transitions.claim(
        agent_run_id=step.message.agent_run_id,
        account_id=step.message.account_id,
        executor="workflow",
        lease_s=30,
        handover_no=step.handover_no,
    )
    with pytest.raises(LeaseHeldError):
        await summarizing(manager).summarize(step, remaining_s=300)


async def test_a_summariser_that_fails_hands_the_run_on_without_a_summary(
    thread: GrowingThread, manager: ContextManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries_module, "_BACKOFF_S", (0.0, 0.0))
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    step = await handed_over(thread)
    done = await summarizing(manager).summarize(step, remaining_s=300)
    assert done == Summarized(outcome="summary_failed", next_step="advance", handover_no=step.handover_no + 1)
    assert await thread.summaries() == []


async def test_a_stop_ends_the_summary_before_its_next_chunk(
    thread: GrowingThread, manager: ContextManager, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = await handed_over(thread)
    make = manager.summarize

    async def stopped_meanwhile(*arguments: Any, should_stop: Any, **options: Any) -> Any:
        await thread.database.set_run(step.message.agent_run_id, stop_requested="'stop'")
        await until(should_stop)  # the next renewal of the lease tells
        return await make(*arguments, should_stop=should_stop, **options)

    monkeypatch.setattr(manager, "summarize", stopped_meanwhile)
    done = await summarizing(manager, lease_s=1.5).summarize(step, remaining_s=300)
    assert (done.outcome, done.next_step) == ("nothing_to_summarise", "advance")
    assert model.calls() == []
    assert await thread.summaries() == []


async def test_after_the_run_a_summary_is_prepared_if_it_ended_near_its_budget(
    thread: GrowingThread, manager: ContextManager
) -> None:
    await thread.turns(10)
    await thread.run("go on")
    await transitions.finish(thread.claim, status="completed", error=None, last_seq=thread.claim.last_seq)
    far = await summarizing(manager).summarize(step_of(thread, 0), remaining_s=300)
    assert far == Summarized(outcome="nothing_to_summarise")

    thread.forget_claim()
    await thread.turns(17)
    await thread.run("go on")
    await transitions.finish(thread.claim, status="completed", error=None, last_seq=thread.claim.last_seq)
    near = await summarizing(manager).summarize(step_of(thread, 0), remaining_s=300)
    assert near == Summarized(outcome="summarised")
    assert len(await thread.summaries()) == 1
    assert (await thread.database.run(thread.claim.agent_run_id))["status"] == "completed"
