"""An answer without its provider's last word is paid for all the same."""

import json
from typing import Any

import pytest

from tests.integration.databases import Database
from tests.integration.loop import invariants
from tests.integration.loop.conftest import Play
from tests.integration.loop.faults import Fault
from tests.integration.loop.history import History
from tests.integration.loop.scenario import AttemptPlan, RunPlan, Scenario
from tests.integration.loop.script import MODEL, Answer, Call, ScriptedLlm

NATIVE: dict[str, Any] = {"native_tool_calling": True}


async def _usages(history: History) -> list[dict[str, Any]]:
    return sorted((charge["usage"] for charge in await history.charged()), key=lambda usage: "estimated" not in usage)


def _of_first_run(history: History) -> dict[str, Any]:
    return json.loads(history.ended[0].row["usage"])


@pytest.mark.parametrize("chunk", [0, 1, 3], ids=["before it begins", "in the words", "behind them"])
@pytest.mark.parametrize("action", ["stop", "timed_out", "out_of_time", "drain", "lose"])
async def test_an_answer_that_is_cut_off_is_charged_by_our_count(play: Play, action: Any, chunk: int) -> None:
    plan = RunPlan((AttemptPlan((Fault("chunk", chunk, action),)),))
    history = await play(Scenario((Answer(),), (plan,), NATIVE))
    first, *others = await _usages(history)
    assert first["estimated"] is True
    assert first["input_tokens"] > 0
    assert (first["output_tokens"] > 0) == (chunk > 0)
    assert others and all("estimated" not in usage for usage in others)
    assert _of_first_run(history)["estimated"] is True


async def test_failed_tries_that_had_begun_are_charged_and_those_that_were_refused_are_not(play: Play) -> None:
    script = (Answer(ending="refused"), Answer(ending="broken"), Answer())
    history = await play(Scenario(script, (RunPlan(),), NATIVE))
    usages = await _usages(history)
    # ... of this run, and the last one of every history.
    assert ["estimated" in usage for usage in usages] == [True, False, False]
    spent = _of_first_run(history)
    assert spent["total_tokens"] == usages[0]["total_tokens"] + usages[1]["total_tokens"]


async def test_an_answer_that_says_nothing_is_charged_by_its_providers_count(play: Play) -> None:
    history = await play(Scenario((Answer(ending="empty"),) * 3, (RunPlan(),), NATIVE))
    usages = await _usages(history)
    assert [usage["total_tokens"] for usage in usages] == [12] * 4
    used = {"input_tokens": 30, "output_tokens": 6, "total_tokens": 36}
    assert _of_first_run(history) == {**used, "price_usd": 0}


async def test_an_answer_that_is_ended_at_its_first_xml_call_is_charged(play: Play) -> None:
    processor = NATIVE | {"xml_tool_calling": True, "max_xml_tool_calls": 1}
    answer = Answer((Call("put", "xml"), Call("post", "xml")))
    history = await play(Scenario((answer,), (RunPlan(),), processor))
    first, *_ = await _usages(history)
    assert first["estimated"] is True
    assert first["output_tokens"] > 0


@pytest.mark.parametrize("bounded", ["max_run_cost_usd", "max_day_cost_usd", None])
async def test_a_model_without_a_price_answers_only_where_no_money_is_bounded(
    play: Play, database: Database, monkeypatch: pytest.MonkeyPatch, bounded: str | None
) -> None:
    async def unchecked(_: History) -> None:
        """The invariants are of answers."""

    monkeypatch.setattr(invariants, "check", unchecked)
    monkeypatch.setattr(ScriptedLlm, "model_prices", {})
    money = ("max_run_cost_usd", "max_day_cost_usd")
    await database.connection.execute(
        f"UPDATE plans SET {', '.join(f'{name} = {1 if name == bounded else "NULL"}' for name in money)}"  # noqa: S608
    )
    history = await play(Scenario((Answer(),), (RunPlan(),), NATIVE))
    error = history.ended[0].row["error"]
    if bounded is None:
        assert error is None
        assert "price_usd" not in _of_first_run(history)
    else:
        assert json.loads(error)["code"] == "model_without_price"
        assert MODEL in json.loads(error)["message"]
        assert not history.given


async def test_what_was_kept_with_calls_before_the_end_is_charged_once(play: Play) -> None:
    plan = RunPlan((AttemptPlan((Fault("chunk", 5, "out_of_time"),)),))
    processor = NATIVE | {"execute_on_stream": True}
    history = await play(Scenario((Answer((Call("put"), Call("put"))),), (plan,), processor))
    first, *_ = await _usages(history)
    assert first["estimated"] is True
