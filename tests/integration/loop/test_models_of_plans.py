"""The runner asks a run's models of its plan again: the API may not have known them, or the plan has changed."""

import json
from typing import Any

import pytest

from tests.integration.databases import Database
from tests.integration.loop import invariants
from tests.integration.loop.conftest import Play
from tests.integration.loop.history import History
from tests.integration.loop.scenario import RunPlan, Scenario
from tests.integration.loop.script import MODEL, Answer


@pytest.mark.parametrize(
    ("patterns", "is_allowed"),
    [([MODEL], True), (["anthropic/*", "openai/s*"], True), (["openai/other", "scripted"], False), (None, True)],
)
async def test_a_model_that_the_plan_does_not_allow_is_not_called(
    play: Play, database: Database, monkeypatch: pytest.MonkeyPatch, patterns: list[str] | None, is_allowed: bool
) -> None:
    async def unchecked(_: History) -> None:
        """The invariants are of answers."""

    monkeypatch.setattr(invariants, "check", unchecked)
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
