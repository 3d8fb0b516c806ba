"""The loop with everything around it real but for the model, the queues, the workflow and the subscribers."""

import os

# litellm without the network: its import would otherwise ask for a newer list of models.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from functions.runner import agent, execution, model_call
from functions.runner.tools.catalog import Catalog
from shared.aws import clients, queue
from shared.database import pool
from shared.domain import Json, LogHold
from shared.events import Logged
from shared.runs import holding, transitions
from shared.stream import delivery, log, log_hold
from tests.integration.databases import Database
from tests.integration.loop import faults, invariants
from tests.integration.loop.effects import Effects, Ledger
from tests.integration.loop.faults import FaultyConnection
from tests.integration.loop.history import History
from tests.integration.loop.scenario import Scenario

type Play = Callable[[Scenario], Awaitable[History]]


class _ExecutionAlreadyExists(Exception):
    """What Step Functions would say."""


async def _nobody(*_: Any, **__: Any) -> Sequence[Any]:
    """Nobody watches: delivery has tests of its own."""
    return ()


@pytest.fixture
async def play(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Play]:
    """Plays a scenario and checks it."""
    playing: list[History] = []

    async def send(name: str, message: Any, *, delay_s: float = 0) -> None:
        await playing[-1].send(name, message, delay_s=delay_s)

    async def start_execution(**arguments: Any) -> None:
        await playing[-1].start_workflow(**arguments)

    async def step_functions() -> Any:
        exceptions = SimpleNamespace(ExecutionAlreadyExists=_ExecutionAlreadyExists)
        return SimpleNamespace(start_execution=start_execution, exceptions=exceptions)

    append = log.append

    async def logged_append(hold: LogHold, batch: Sequence[Logged], **options: Any) -> log.Appended:
        playing[-1].numbered(batch)
        await faults.reach("append")
        answer = await append(hold, batch, **options)
        await faults.reach("appended")
        return answer

    monkeypatch.setattr(queue, "send", send)
    monkeypatch.setattr(clients, "step_functions", step_functions)
    monkeypatch.setattr(execution, "queue_settings", lambda: SimpleNamespace(workflow_arn="workflow"))
    monkeypatch.setattr(delivery, "own_audience", _nobody)
    monkeypatch.setattr(delivery, "other_audience", _nobody)
    monkeypatch.setattr(log, "append", logged_append)
    # Stops are told by the scripted keeper.
    monkeypatch.setattr(holding, "_listen", _nobody)
    effects: Any = lambda: Effects(playing[-1].ledger)  # noqa: E731 - in place of a class
    monkeypatch.setattr(agent, "catalog", lambda: Catalog({"effects": effects}))
    monkeypatch.setattr(model_call, "_LONGEST_BACKOFF_S", 0.0)
    # Few, so that histories reserve more than once.
    monkeypatch.setattr(transitions, "SEQ_BLOCK", 11)
    monkeypatch.setattr(log_hold, "SEQ_BLOCK", 11)

    arguments: Json = await pool.connect_arguments()
    async with (
        asyncpg.create_pool(**arguments, min_size=1, max_size=12, connection_class=FaultyConnection) as faulty,
        asyncpg.create_pool(**arguments, min_size=1, max_size=4) as own,
    ):
        pool._pools.append(faulty)

        async def play(scenario: Scenario) -> History:
            history = History(scenario, pool=own, ledger=Ledger())
            playing.append(history)
            await history.play()
            await invariants.check(history)
            playing.clear()
            return history

        yield play
        pool._pools.remove(faulty)
        # Not closed: that would wait for cancellations which a dead attempt has begun.
        faulty.terminate()
