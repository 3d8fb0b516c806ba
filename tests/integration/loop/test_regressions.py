"""Histories that once broke a promise, as small as they can be."""

import json
import re
from typing import Literal

import pytest

from functions.runner.calls import native
from functions.runner.execution import MOST_CRASHES
from tests.integration.loop.conftest import Play
from tests.integration.loop.faults import Fault
from tests.integration.loop.history import History
from tests.integration.loop.scenario import AttemptPlan, RunPlan, Scenario
from tests.integration.loop.script import Answer, Call

_ON_STREAM = {"native_tool_calling": True, "execute_on_stream": True, "tool_execution_strategy": "parallel"}
_AFTER = {"native_tool_calling": True, "execute_on_stream": False}


def _statuses(history: History) -> list[str]:
    return [ended.row["status"] for ended in history.ended]


async def test_results_of_native_calls_stand_before_those_of_xml_calls(play: Play) -> None:
    # A provider refuses a conversation in which anything stands between native calls and their results.
    history = await play(Scenario((Answer((Call("put"), Call("post", "xml"))),), processor=_AFTER))
    assert _statuses(history) == ["completed", "completed"]
    assert len(history.ledger.effects) == 2


async def test_results_of_xml_calls_wait_while_a_native_call_awaits_approval(play: Play) -> None:
    answer = Answer((Call("post", "xml"), Call("pay")))
    history = await play(Scenario((answer,), (RunPlan(), RunPlan(approves=(True,))), _AFTER))
    assert _statuses(history) == ["needs_input", "completed", "completed"]
    assert {effect.tool for effects in history.ledger.effects.values() for effect in effects} == {"post", "pay"}


@pytest.mark.parametrize("processor", [_ON_STREAM, _AFTER], ids=["on stream", "after"])
async def test_a_stop_in_an_answer_leaves_no_call_without_its_result(play: Play, processor: dict[str, object]) -> None:
    stop = RunPlan((AttemptPlan((Fault("chunk", 6, "stop"),)),))
    history = await play(Scenario((Answer((Call("post"), Call("put"))),), (stop,), processor))
    assert _statuses(history) == ["stopped", "completed"]


async def test_a_stop_while_the_answer_is_committed_ends_the_run(play: Play) -> None:
    stop = RunPlan((AttemptPlan((Fault("committed", 2, "stop"),)),))
    history = await play(Scenario((Answer((Call("put"), Call("post"))),), (stop,), _ON_STREAM))
    assert _statuses(history) == ["stopped", "completed"]


@pytest.mark.parametrize("action", ["stop", "drain", "out_of_time", "timed_out", "lose"])
async def test_no_tool_goes_on_when_its_advance_has_ended(play: Play, action: str) -> None:
    fault = Fault("effect", 0, action)  # type: ignore[arg-type]
    answer = Answer((Call("post"), Call("post"), Call("put")))
    await play(
        Scenario((answer,), (RunPlan((AttemptPlan((fault,)),)),), _AFTER | {"tool_execution_strategy": "parallel"})
    )


@pytest.mark.parametrize("processor", [_ON_STREAM, _AFTER], ids=["on stream", "after"])
@pytest.mark.parametrize("ids", ["endless", "nul"])
async def test_an_id_that_cannot_be_kept_is_replaced(
    play: Play, ids: Literal["endless", "nul"], processor: dict[str, object]
) -> None:
    history = await play(Scenario((Answer((Call("post"), Call("nul\0"), Call("put")), ids=ids),), processor=processor))
    assert _statuses(history) == ["completed", "completed"]
    assert [len(ended.attempts) for ended in history.ended] == [1, 1]
    assert {effect.tool for effects in history.ledger.effects.values() for effect in effects} == {"post", "put"}


@pytest.mark.parametrize(
    "fault", [Fault("model", 0, "defect"), Fault("chunk", 2, "defect"), Fault("chunk", 2, "refused")], ids=str
)
async def test_an_error_that_would_come_again_ends_the_run_at_once(play: Play, fault: Fault) -> None:
    answer = Answer((Call("post"), Call("put")))
    history = await play(Scenario((answer,), (RunPlan((AttemptPlan((fault,)),)),), _AFTER))
    assert _statuses(history) == ["failed", "completed"]
    ended = history.ended[0]
    assert [attempt.happened for attempt in ended.attempts] == [[fault]]
    error = json.loads(ended.row["error"])
    assert error["code"] == "internal_error"
    # What the error says may be somebody's words.
    assert "what was said" not in error["message"]


@pytest.mark.parametrize("processor", [_ON_STREAM, _AFTER], ids=["on stream", "after"])
@pytest.mark.parametrize("ids", ["endless", "nul"])
async def test_what_postgresql_refuses_ends_the_run_at_once(
    play: Play, ids: Literal["endless", "nul"], processor: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN nothing in front of PostgreSQL that would find what it cannot keep
    monkeypatch.setattr(native, "_ID", re.compile(".+", re.DOTALL))
    history = await play(Scenario((Answer((Call("post"),), ids=ids),), processor=processor, defective=True))
    assert _statuses(history) == ["failed", "completed"]
    assert [len(ended.attempts) for ended in history.ended] == [1, 1]
    refusal = {"endless": "ProgramLimitExceededError", "nul": "CharacterNotInRepertoireError"}[ids]
    assert refusal in history.ended[0].row["error"]


_KILLS = RunPlan(tuple(AttemptPlan((Fault("effect", 0, "die"),)) for _ in range(6)))


@pytest.mark.parametrize("name", ["put", "post"])
async def test_a_tool_that_kills_its_process_poisons_its_run_and_no_later_one(
    play: Play, name: Literal["put", "post"]
) -> None:
    history = await play(
        Scenario((Answer((Call(name),)), *(Answer((Call(name),)) for _ in range(6))), (_KILLS,), _AFTER)
    )
    assert _statuses(history) == ["failed", "completed"]
    assert json.loads(history.ended[0].row["error"])["code"] == "poison"
    assert history.ledger.effects == {}


async def test_a_call_whose_run_was_stopped_is_executed_by_no_later_one(play: Play) -> None:
    # GIVEN a run that has approved a call of the one before it, and is stopped when it has begun it
    stop = RunPlan((AttemptPlan((Fault("effect", 0, "stop"),)),), approves=(True,))
    history = await play(Scenario((Answer((Call("sign"),)),), (RunPlan(), stop), _AFTER))
    assert _statuses(history) == ["needs_input", "stopped", "completed"]
    assert history.ledger.effects == {}


async def test_an_approved_call_of_a_run_that_ends_before_it_is_said_to_have_been_approved(play: Play) -> None:
    # GIVEN a run that has approved a call, and is stopped before it has looked at it
    stop = RunPlan((AttemptPlan((Fault("begin", 1, "stop"),)),), approves=(True,))
    history = await play(Scenario((Answer((Call("pay"),)),), (RunPlan(), stop), _AFTER))
    assert _statuses(history) == ["needs_input", "stopped", "completed"]
    said = [message["content"] for message in await history.stored() if message["role"] == "tool"]
    assert said == ["This call was approved, but was not executed: the run was stopped."]


async def test_outages_that_have_nothing_to_do_with_the_run_are_not_poison(play: Play) -> None:
    # GIVEN a run that PostgreSQL goes away from before it has come anywhere
    outage = AttemptPlan(tuple(Fault("begin", nth, "unavailable") for nth in range(1, 9)))
    outages = RunPlan((outage,) * (MOST_CRASHES + 1))
    history = await play(Scenario((), (outages,), _AFTER))
    failed = [bool(attempt.happened) for attempt in history.ended[0].attempts]
    assert failed == [True] * (MOST_CRASHES + 1) + [False]
    assert _statuses(history) == ["completed", "completed"]
    assert history.ended[0].row["crashes"] == 0


async def test_deaths_of_a_run_that_gets_further_each_time_are_not_poison(play: Play) -> None:
    deaths = RunPlan(tuple(AttemptPlan((Fault("model", 1, "die"),)) for _ in range(MOST_CRASHES + 1)))
    history = await play(Scenario(tuple(Answer((Call("post"),)) for _ in range(MOST_CRASHES + 2)), (deaths,), _AFTER))
    assert _statuses(history) == ["completed", "completed"]


@pytest.mark.parametrize("processor", [_ON_STREAM, _AFTER], ids=["on stream", "after"])
async def test_a_call_that_may_not_be_repeated_waits_for_an_executor_that_has_time_for_it(
    play: Play, processor: dict[str, object]
) -> None:
    # GIVEN 70 s when the model answers, and calls that may take 100
    late = RunPlan((AttemptPlan((Fault("model", 0, "late"),)),))
    history = await play(Scenario((Answer((Call("put"), Call("post"))),), (late,), processor))
    assert _statuses(history) == ["completed", "completed"]
    begun_by = {effect.tool: effect.attempt for effects in history.ledger.effects.values() for effect in effects}
    assert begun_by == {"put": 0, "post": 1}
