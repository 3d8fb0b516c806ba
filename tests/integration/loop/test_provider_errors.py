"""What a provider says of its failures is nobody's: a real litellm, over HTTP, with a provider that says too much."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from shared.llm import Llm
from shared.telemetry import logger
from tests.failing_provider import REQUEST_ID, WORDS, Provider
from tests.integration.loop import invariants
from tests.integration.loop.conftest import Play
from tests.integration.loop.history import History
from tests.integration.loop.scenario import Scenario
from tests.integration.loop.script import ScriptedLlm


@pytest.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    """The provider of the loop's model, in place of the script."""
    provider = Provider()
    llms: list[Llm] = []

    async def stream(self: Llm, **asked: Any) -> Any:
        llms.append(self)
        return await Llm.stream(self, **asked)

    async def unchecked(_: History) -> None:
        """The invariants are of answers by the script."""

    monkeypatch.setattr(ScriptedLlm, "stream", stream)
    monkeypatch.setattr(invariants, "check", unchecked)
    async with provider.serving() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield provider
        await asyncio.gather(*(llm.close() for llm in llms))


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the logger writes."""
    stream = io.StringIO()
    [handler] = [found for found in logger._logger.handlers if isinstance(found, logging.StreamHandler)]
    before = handler.setStream(stream)
    yield stream
    handler.setStream(before)


async def _everything(history: History, lines: io.StringIO) -> tuple[Any, str, str]:
    """The run's error; all that its owner can see; all that was logged."""
    error = json.loads(history.ended[0].row["error"])
    rows = [ended.row for ended in history.ended]
    seen = json.dumps([rows, await history.messages(), [event.frame for event in await history.logged()]], default=str)
    return error, seen, lines.getvalue()


@pytest.mark.parametrize(("status", "code"), [(401, "model_authentication"), (503, "model_unavailable")])
async def test_no_word_of_a_providers_error_is_in_the_run_its_events_or_a_log(
    play: Play, provider: Provider, lines: io.StringIO, status: int, code: str
) -> None:
    provider.status = status
    error, seen, logged = await _everything(await play(Scenario()), lines)
    assert error["code"] == code
    assert error["message"] in seen
    for where in (seen, logged):
        assert provider.mark not in where
        assert WORDS not in where
    told = [json.loads(line) for line in logged.splitlines() if '"the model failed"' in line]
    assert {(line["code"], line["status"], line["provider_request_id"]) for line in told} == {
        (code, status, REQUEST_ID)
    }


async def test_where_the_stack_allows_it_the_providers_text_is_told_and_no_key_of_it(
    play: Play, provider: Provider, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedLlm, "shows_errors", True)
    provider.status = 401
    error, seen, logged = await _everything(await play(Scenario()), lines)
    assert WORDS in error["message"]
    assert WORDS in seen
    assert provider.mark not in seen
    assert provider.mark not in logged
    assert WORDS not in logged
