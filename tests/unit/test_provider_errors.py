"""What is told of a provider's error: by a real litellm, over HTTP, of a provider that says too much."""

import json
import logging
from collections.abc import AsyncIterator
from importlib import import_module

import pytest

from shared.llm import Llm, ModelError, is_passing
from shared.provider_errors import error_of, logged
from shared.settings import ModelSettings
from tests.failing_provider import REQUEST_ID, WORDS, Provider

TOO_LONG = "This model's maximum context length is 8192 tokens. "


@pytest.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    provider = Provider()
    async with provider.serving() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield provider


async def _failure() -> ModelError:
    llm = Llm(ModelSettings(default_model="openai/m"))
    try:
        with pytest.raises(ModelError) as failed:
            async for _ in await llm.stream(model="openai/m", messages=[{"role": "user", "content": "hello"}]):
                pass
    finally:
        await llm.close()
    return failed.value


@pytest.mark.parametrize(
    ("answer", "code", "passing"),
    [
        ((400, None, ""), "model_bad_request", False),
        ((400, None, TOO_LONG), "context_window_exceeded", False),
        ((400, "content_policy_violation", ""), "content_filter", False),
        ((401, "invalid_api_key", ""), "model_authentication", False),
        ((402, None, ""), "model_rate_limited", False),
        ((403, None, ""), "model_authentication", False),
        ((404, "model_not_found", ""), "model_not_found", False),
        ((408, None, ""), "model_timeout", True),
        ((409, None, ""), "model_bad_request", True),
        ((413, None, ""), "model_bad_request", False),
        ((422, None, ""), "model_bad_request", False),
        ((429, "insufficient_quota", ""), "model_rate_limited", True),
        ((500, None, ""), "model_unavailable", True),
        ((502, None, ""), "model_unavailable", True),
        ((503, None, ""), "model_unavailable", True),
        ((504, None, ""), "model_timeout", True),
        ((529, None, ""), "model_unavailable", True),
    ],
)
async def test_each_status_has_a_code_and_a_sentence_without_a_word_of_the_providers(
    provider: Provider,
    caplog: pytest.LogCaptureFixture,
    answer: tuple[int, str | None, str],
    code: str,
    *,
    passing: bool,
) -> None:
    provider.status, provider.code, provider.said = answer
    error = await _failure()
    told, fields = error_of(error), logged(error)
    assert told.keys() == {"code", "message"}
    assert told["code"] == fields["code"] == code
    assert ": " in told["message"], "it says what to do"
    assert fields["status"] == provider.status
    assert fields["provider_request_id"] == REQUEST_ID
    assert is_passing(error) is passing
    in_full = error_of(error, in_full=True)
    assert WORDS in in_full["message"]
    assert in_full["message"].startswith(told["message"])
    for where in (json.dumps([told, fields]), caplog.text):
        assert WORDS not in where
        assert provider.mark not in where
    # Where its text is allowed, its secrets are not.
    assert provider.mark not in in_full["message"]


def _in_the_stream(text: str) -> bytes:
    return b"data: %s\n\n" % json.dumps({"error": {"message": text, "code": 500}}).encode()


@pytest.mark.parametrize("kind", ["an error in the stream", "no chunk", "no JSON", "HTML"])
async def test_an_answer_that_is_none_is_told_without_a_word_of_it(
    provider: Provider, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    provider.status = 502 if kind == "HTML" else 200
    text = provider.text.encode()
    provider.body = {
        "an error in the stream": _in_the_stream(provider.text),
        "no chunk": b"data: %s\n\n" % json.dumps({"choices": provider.text}).encode(),
        "no JSON": b"data: %s\n\n" % text.replace(b"\n", b" "),
        "HTML": b"<html>%s</html>" % text,
    }[kind]
    error = await _failure()
    assert error_of(error)["code"] == "model_unavailable"
    for where in (json.dumps([error_of(error), logged(error)]), caplog.text):
        assert WORDS not in where
        assert provider.mark not in where


@pytest.mark.parametrize(
    "library", ["LiteLLM", "mcp.client.streamable_http", "mcp.shared.jsonrpc_dispatcher", "client"]
)
def test_no_library_logs_what_others_say(library: str) -> None:
    import_module("functions.runner.tools.builtin.mcp_session")
    assert not logging.getLogger(library).isEnabledFor(logging.CRITICAL)


async def test_a_provider_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    error = await _failure()
    assert error_of(error)["code"] == "model_unavailable"
    assert "127.0.0.1" not in error_of(error)["message"]
