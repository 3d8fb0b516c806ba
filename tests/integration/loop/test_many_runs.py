"""Many runs in one process: none of them keeps a connection while its model or its tools work."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from functions.runner import agent, tool_execution
from functions.runner.budget import Budget
from functions.runner.execution import Execution
from functions.runner.tools.catalog import Catalog
from functions.runner.tools.result import ToolResult
from shared.aws.queue import RunMessage
from shared.context.manager import ContextManager
from shared.database import pool
from shared.runs import holding
from shared.runs.lease import LeaseKeeper
from shared.stream import delivery
from tests.integration import opened
from tests.integration.databases import LEASE_S, Database
from tests.integration.loop.conftest import _nobody
from tests.integration.loop.effects import Effects, Ledger
from tests.integration.loop.script import Answer, Call, Given, ScriptedLlm
from tests.integration.waiting import until

RUNS = 30
CONNECTIONS = 2
# Beyond any time that it takes: who waits for a connection that is not given back is not met.
PATIENCE_S = 60


class Meeting:
    """Where all runs are at the same time, and nobody has a connection; else nobody goes on."""

    def __init__(self) -> None:
        self._met, self._idle = asyncio.Barrier(RUNS), asyncio.Barrier(RUNS)
        self.times = 0

    async def wait(self) -> None:
        if await self._met.wait() == 0:
            await until(_nobody_has_a_connection)
            self.times += 1
        await self._idle.wait()


async def _nobody_has_a_connection() -> bool:
    [found] = pool._pools
    return found.get_idle_size() == found.get_size()


@pytest.mark.usefixtures("queues", "subscriptions_table")
async def test_thirty_runs_do_with_two_connections_and_hold_none_while_they_work(
    database: Database, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_POOL_SIZE", str(CONNECTIONS))
    opened.forget_settings()
    thinking, working = Meeting(), Meeting()
    answers = itertools.count()

    async def on_call(messages: list[Any]) -> Given:
        await thinking.wait()
        has_result = messages[-1]["role"] == "tool"
        number = next(answers)
        answer = Answer(() if has_result else (Call("put"),))
        given = Given(number, answer, 1, None, messages)
        given.tokens = {f"token-{number}-{place}": call for place, call in enumerate(answer.calls)}
        return given

    async def on_chunk() -> None:
        pass

    async def met(*_: Any, **__: Any) -> ToolResult:
        await working.wait()
        return ToolResult(True, "done")

    monkeypatch.setattr(tool_execution, "invoke", met)
    monkeypatch.setattr(delivery, "own_audience", _nobody)
    monkeypatch.setattr(delivery, "other_audience", _nobody)
    monkeypatch.setattr(holding, "_listen", _nobody)
    effects: Any = lambda: Effects(Ledger())  # noqa: E731 - in place of a class
    monkeypatch.setattr(agent, "catalog", lambda: Catalog({"effects": effects}))
    monkeypatch.setattr("functions.runner.execution.queue_settings", lambda: SimpleNamespace(workflow_arn="workflow"))
    keeper = LeaseKeeper(lease_s=LEASE_S)
    llm = ScriptedLlm(on_call, on_chunk)
    execution = Execution(
        llm=llm, context_manager=ContextManager(llm=llm), keeper=keeper, lease_s=LEASE_S, wake_by_s=60
    )

    native = """'{"agent": {"processor": {"native_tool_calling": true}, "tools": ["effects"]}}'"""
    runs = [await database.new_run(await database.new_thread(account_id), config=native) for _ in range(RUNS)]
    messages = [
        RunMessage(agent_run_id=run_id, thread_id=(await database.run(run_id))["thread_id"], account_id=account_id)
        for run_id in runs
    ]
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(
            *(execution.execute(message, executor="queue", budget=Budget.of_function(900)) for message in messages)
        )
    # Its thread waits for more leases, and looks neither at the database nor at the loop, which both end.
    await until(lambda: keeper._wake._waiters)  # type: ignore[attr-defined]
    assert {(await database.run(run_id))["status"] for run_id in runs} == {"completed"}
    assert (thinking.times, working.times) == (2, 1)
