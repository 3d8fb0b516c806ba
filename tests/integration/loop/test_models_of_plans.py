"""The runner asks its plan again what a run names: the API may not have known it, or the plan has changed."""

import json
from typing import Any

import pytest

from tests.integration.databases import Database
from tests.integration.loop import invariants
from tests.integration.loop.conftest import Play
from tests.integration.loop.history import History
from tests.integration.loop.scenario import RunPlan, Scenario
from tests.integration.loop.script import MODEL, Answer


@pytest.fixture(autouse=True)
def _invariants_are_of_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unchecked(_: History) -> None:
        """There are none."""

    monkeypatch.setattr(invariants, "check", unchecked)


@pytest.mark.parametrize(
    ("patterns", "is_allowed"),
    [([MODEL], True), (["anthropic/*", "openai/s*"], True), (["openai/other", "scripted"], False), (None, True)],
)
async def test_a_model_that_the_plan_does_not_allow_is_not_called(
    play: Play, database: Database, patterns: list[str] | None, is_allowed: bool
) -> None:
    await database.connection.execute("UPDATE plans SET models = $1", patterns)
    history = await play(Scenario((Answer(),), (RunPlan(),), {}))
    error: Any = history.ended[0].row["error"]
    assert bool(history.given) is is_allowed
    if is_allowed:
        assert error is None
    else:
        told = json.loads(error)
        assert told["code"] == "model_not_allowed"
        assert MODEL in told["message"] and "openai/other, scripted" in told["message"]


@pytest.mark.parametrize(
    ("key", "patterns", "is_allowed"),
    [
        ("OPENAI_API_KEY_TEAM_A", ["OPENAI_API_KEY_*"], True),
        ("OPENAI_API_KEY_TEAM_A", ["OPENAI_API_KEY_TEAM_B"], False),
        ("OPENAI_API_KEY_TEAM_A", None, False),
        ("OPENAI_API_KEY", None, True),
    ],
)
async def test_a_key_that_the_plan_does_not_list_pays_for_no_answer(
    play: Play, database: Database, key: str, patterns: list[str] | None, is_allowed: bool
) -> None:
    await database.connection.execute("UPDATE plans SET provider_keys = $1", patterns)
    history = await play(Scenario((Answer(),), (RunPlan(),), provider_key=key))
    error: Any = history.ended[0].row["error"]
    assert bool(history.given) is is_allowed
    if is_allowed:
        assert error is None
    else:
        told = json.loads(error)
        assert told["code"] == "provider_key_not_allowed"
        assert key in told["message"] and "leave provider_key out" in told["message"]
