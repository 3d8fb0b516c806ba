"""A model that calls very often in one answer: a few at a time, so many an answer, and each call has its answer."""

import asyncio
from typing import Any

import pytest

from functions.runner import tool_execution
from tests.integration.databases import Database
from tests.integration.loop.conftest import Play
from tests.integration.loop.faults import Fault
from tests.integration.loop.history import History
from tests.integration.loop.scenario import AttemptPlan, RunPlan, Scenario
from tests.integration.loop.script import Answer, Call

MOST = 5
_NATIVE = {"native_tool_calling": True}
_WAYS = [
    {"execute_on_stream": on_stream, "tool_execution_strategy": strategy}
    for on_stream in (False, True)
    for strategy in ("sequential", "parallel")
]


def _said(history_messages: list[Any]) -> list[str]:
    return [message["content"] for message in history_messages if message["role"] == "tool"]


async def _beyond(history: History) -> list[str]:
    return [text for text in _said(await history.stored()) if "was not executed: it is number" in text]


@pytest.mark.parametrize("way", _WAYS, ids=lambda way: " ".join(str(value) for value in way.values()))
async def test_calls_beyond_the_plans_number_are_answered_and_not_executed(
    play: Play, database: Database, way: dict[str, Any]
) -> None:
    await database.connection.execute("UPDATE plans SET max_answer_tool_calls = $1", MOST)
    # One of those that are beyond would wait for a person.
    calls = (*(Call("put") for _ in range(29)), Call("pay"))
    history = await play(Scenario((Answer(calls),), (RunPlan(),), _NATIVE | way))
    assert [ended.row["status"] for ended in history.ended] == ["completed", "completed"]
    assert len(history.ledger.effects) == MOST
    told = await _beyond(history)
    assert len(told) == len(calls) - MOST
    assert f"number {MOST + 1} of one answer, and {MOST} are executed" in told[0]


async def test_an_attempt_that_goes_on_executes_no_more_of_them(play: Play, database: Database) -> None:
    await database.connection.execute("UPDATE plans SET max_answer_tool_calls = $1", MOST)
    died = RunPlan((AttemptPlan((Fault("effect", 2, "die"),)),))
    history = await play(Scenario((Answer(tuple(Call("put") for _ in range(12))),), (died,), _NATIVE))
    assert len(history.attempts) > 2, "it has died, and was gone on with"
    assert len(history.ledger.effects) == MOST
    assert len(await _beyond(history)) == 12 - MOST


@pytest.mark.parametrize("on_stream", [False, True])
async def test_only_a_few_are_executed_at_a_time(play: Play, monkeypatch: pytest.MonkeyPatch, on_stream: bool) -> None:
    under_way: list[int] = [0]
    full = asyncio.Event()
    invoke = tool_execution.invoke

    async def counted(*arguments: Any, **options: Any) -> Any:
        under_way.append(under_way[-1] + 1)
        if under_way[-1] >= 3:
            full.set()
        # The first ones stay until there are as many as may be, so that one more would be seen.
        await full.wait()
        try:
            return await invoke(*arguments, **options)
        finally:
            under_way.append(under_way[-1] - 1)

    monkeypatch.setattr(tool_execution, "invoke", counted)
    monkeypatch.setattr(tool_execution, "MOST_AT_ONCE", 3)
    way = _NATIVE | {"execute_on_stream": on_stream, "tool_execution_strategy": "parallel"}
    history = await play(Scenario((Answer(tuple(Call("put") for _ in range(20))),), (RunPlan(),), way))
    assert len(history.ledger.effects) == 20
    assert max(under_way) == 3
