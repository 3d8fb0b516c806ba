"""Which instance holds which runs; stopping and draining one."""

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.runner import execution
from functions.runner.budget import Budget
from functions.runner.execution import Executed, Execution
from shared.aws import clients
from shared.aws.queue import RunMessage
from shared.context.manager import ContextManager
from shared.domain import Claim, Json
from shared.runs import transitions
from shared.runs.instances import drain_instance, held_runs, is_drained, stop_instance
from shared.runs.lease import LeaseKeeper
from shared.stream import subscriptions
from tests.integration.databases import LEASE_S, Database
from tests.integration.loop.script import Answer, Given, ScriptedLlm
from tests.integration.queues import Queues
from tests.integration.waiting import TIMEOUT_S, until


@pytest.fixture
def instance() -> UUID:
    return uuid4()


async def _claim(database: Database, account_id: str, instance: UUID, run_id: UUID | None = None) -> Claim | None:
    run_id = run_id or await database.new_run(await database.new_thread(account_id))
    return await transitions.claim(
        agent_run_id=run_id, account_id=account_id, executor="queue", lease_s=LEASE_S, instance_id=instance
    )


async def _held(instance: UUID) -> list[UUID]:
    return [run.agent_run_id for run in (await held_runs()).get(instance, [])]


async def test_who_holds_what_is_known_until_it_ends_or_its_lease_does(database: Database, account_id: str) -> None:
    one, other = uuid4(), uuid4()
    claims = [await _claim(database, account_id, who) for who in (one, one, one, other)]
    first, second, third, fourth = (claim for claim in claims if claim is not None)
    assert await _held(one) == [first.agent_run_id, second.agent_run_id, third.agent_run_id]
    assert await _held(other) == [fourth.agent_run_id]
    # WHEN one ends, one is handed over, and one's holder dies THEN nobody holds them
    await transitions.finish(first, status="completed", error=None, last_seq=first.last_seq)
    await transitions.hand_over(second, wake_by_s=60, last_seq=second.last_seq)
    await database.expire_lease(third.agent_run_id)
    assert await _held(one) == []
    # AND whoever takes over is who holds it
    assert await _claim(database, account_id, other, third.agent_run_id) is not None
    assert set(await _held(other)) == {third.agent_run_id, fourth.agent_run_id}


async def test_stopping_an_instance_asks_for_the_end_of_its_runs_and_of_no_others(
    database: Database, account_id: str, instance: UUID
) -> None:
    mine = [await _claim(database, account, instance) for account in (account_id, "a stranger")]
    other = await _claim(database, account_id, uuid4())
    assert other is not None
    stopped = await stop_instance(instance)
    assert [run.agent_run_id for run in stopped] == [claim.agent_run_id for claim in mine if claim]
    for run in stopped:
        assert (await database.run(run.agent_run_id))["stop_requested"] == "stop"
    assert (await database.run(other.agent_run_id))["stop_requested"] is None
    # It takes others.
    assert await _claim(database, account_id, instance) is not None


async def test_a_drained_instance_takes_nothing_until_its_time_is_over(
    database: Database, account_id: str, instance: UUID
) -> None:
    run_id = await database.new_run(await database.new_thread(account_id))
    assert await drain_instance(instance) == []
    assert await is_drained(instance)
    assert await _claim(database, account_id, instance, run_id) is None
    await drain_instance(instance, for_s=0)
    assert not await is_drained(instance)
    assert await _claim(database, account_id, instance, run_id) is not None


async def test_whoever_missed_the_hint_is_told_by_the_renewal(
    database: Database, account_id: str, instance: UUID
) -> None:
    claimed_at = time.monotonic()
    claim = await _claim(database, account_id, instance)
    assert claim is not None
    told: list[str] = []
    keeper = LeaseKeeper(lease_s=0.9)
    lease = await keeper.hold(
        claim,
        claimed_at=claimed_at,
        on_lost=lambda: told.append("lost"),
        on_stop=told.append,
        on_facts=lambda: None,
        on_drain=lambda: told.append("drain"),
    )
    await database.connection.execute("INSERT INTO drained_instances VALUES ($1, now() + interval '1 hour')", instance)
    await until(lambda: told)
    assert told == ["drain"]
    keeper.release(lease)
    await until(lambda: keeper._wake._waiters)  # type: ignore[attr-defined]


class Runner:
    """An instance whose model begins an answer, and goes on with it when it is let."""

    def __init__(self, instance: UUID) -> None:
        self.answering = asyncio.Event()
        self.goes_on = asyncio.Event()
        # Renews, and notices that it has nothing left to do, every two seconds.
        self.keeper = LeaseKeeper(lease_s=6)
        llm = ScriptedLlm(self._call, self._chunk)
        self._execution = Execution(
            llm=llm,
            context_manager=ContextManager(llm=llm),
            keeper=self.keeper,
            lease_s=LEASE_S,
            wake_by_s=60,
            instance_id=lambda: instance,
        )

    async def _call(self, messages: list[Json]) -> Given:
        return Given(1, Answer(), 1, None, messages)

    async def _chunk(self) -> None:
        self.answering.set()
        await self.goes_on.wait()

    async def execute(self, message: RunMessage, **workflow: Any) -> Executed:
        """One message, the queue's unless it is the workflow's."""
        arguments = {"executor": "queue", **workflow}
        return await self._execution.execute(message, budget=Budget.of_function(60), **arguments)


@pytest.fixture
async def runner(instance: UUID, queues: Queues, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runner]:
    """A runner; of what it needs, the workflow and the subscribers are not there."""

    async def nobody(*_: Any, **__: Any) -> list[Any]:
        return []

    async def start_execution(**_: Any) -> None:
        pass

    async def step_functions() -> Any:
        none = type("ExecutionAlreadyExists", (Exception,), {})
        return SimpleNamespace(start_execution=start_execution, exceptions=SimpleNamespace(ExecutionAlreadyExists=none))

    monkeypatch.setattr(clients, "step_functions", step_functions)
    monkeypatch.setattr(execution, "queue_settings", lambda: SimpleNamespace(workflow_arn="workflow"))
    monkeypatch.setattr(subscriptions, "of_thread", nobody)
    runner = Runner(instance)
    yield runner
    if runner.keeper._loop is not None:
        await until(lambda: runner.keeper._wake._waiters)  # type: ignore[attr-defined]


async def _message(database: Database, account_id: str) -> RunMessage:
    thread_id = await database.new_thread(account_id)
    run_id = await database.new_run(thread_id)
    return RunMessage(agent_run_id=run_id, thread_id=thread_id, account_id=account_id)


async def test_a_run_of_a_drained_instance_is_handed_over_and_goes_on_elsewhere(
    database: Database, account_id: str, instance: UUID, runner: Runner
) -> None:
    message = await _message(database, account_id)
    executing = asyncio.create_task(runner.execute(message))
    await asyncio.wait_for(runner.answering.wait(), TIMEOUT_S)
    # WHEN the instance is drained in the middle of an answer
    assert [run.agent_run_id for run in await drain_instance(instance)] == [message.agent_run_id]
    executed = await asyncio.wait_for(executing, TIMEOUT_S)
    # THEN the workflow has the run, and nobody its lease
    assert executed == Executed(outcome="out_of_time", next_step="advance", handover_no=1)
    row = await database.run(message.agent_run_id)
    assert (row["status"], row["executor"], row["lease_expires_at"]) == ("running", "workflow", None)
    assert await _held(instance) == []
    # AND the same instance may not go on with it, another one may
    again = {"executor": "workflow", "handover_no": 1}
    assert await runner.execute(message, **again) == Executed(outcome="refused")
    other = Runner(uuid4())
    other.goes_on.set()
    assert (await other.execute(message, **again)).outcome == "completed"
    await until(lambda: other.keeper._wake._waiters)  # type: ignore[attr-defined]


async def test_a_run_of_a_stopped_instance_ends(
    database: Database, account_id: str, instance: UUID, runner: Runner
) -> None:
    message = await _message(database, account_id)
    executing = asyncio.create_task(runner.execute(message))
    await asyncio.wait_for(runner.answering.wait(), TIMEOUT_S)
    await stop_instance(instance)
    assert (await asyncio.wait_for(executing, TIMEOUT_S)).outcome == "stopped"
    assert (await database.run(message.agent_run_id))["status"] == "stopped"


async def test_what_a_drained_instance_is_sent_goes_to_another_as_a_new_message(
    database: Database, account_id: str, instance: UUID, runner: Runner, queues: Queues
) -> None:
    message = await _message(database, account_id)
    await drain_instance(instance)
    assert await runner.execute(message) == Executed(outcome="refused")
    assert await queues.delayed("runs") == 1
    assert (await database.run(message.agent_run_id))["status"] == "queued"
