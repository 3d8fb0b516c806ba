"""What an answer has used is what its provider says, and nobody puts the answer together for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared import llm
from shared.llm import Llm
from shared.settings import ModelSettings

WORDS = 50
TOLD = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "prompt_tokens_details": {"cached_tokens": 5}}


class Provider:
    """An OpenAI-like server that streams an answer, and says at its end what that has used, or nothing."""

    def __init__(self) -> None:
        self.url = ""
        self.usage: dict[str, Any] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await reader.readexactly(int(length.partition(b":")[2]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for place in range(WORDS):
            self._write(writer, [{"index": 0, "delta": {"role": "assistant", "content": f"word{place} "}}])
        self._write(writer, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if self.usage is not None:
            self._write(writer, [], usage=self.usage)
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        writer.close()

    def _write(self, writer: asyncio.StreamWriter, choices: list[Any], **more: Any) -> None:
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": choices, **more}
        writer.write(f"data: {json.dumps(chunk)}\n\n".encode())


@pytest.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    monkeypatch.setenv("OPENAI_API_BASE", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    async with server:
        yield provider


async def _answer() -> tuple[str, Any]:
    model = Llm(ModelSettings(default_model="openai/m"))
    text, usage = "", None
    try:
        async for chunk in await model.stream(model="openai/m", messages=[{"role": "user", "content": "hello"}]):
            usage = getattr(chunk, "usage", None) or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
    finally:
        await model.close()
    return text, usage


# litellm copies the chunk that has the usage.
@pytest.mark.filterwarnings("ignore:Accessing the 'model_")
@pytest.mark.parametrize("tells", [True, False])
async def test_usage_is_what_the_provider_tells_and_the_answer_is_not_put_together_for_it(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, tells: bool
) -> None:
    built: list[int] = []
    builder = llm._builder

    def counted(*, chunks: list[Any]) -> Any:
        built.append(len(chunks))
        return builder(chunks=chunks)

    monkeypatch.setattr(llm, "_builder", counted)
    provider.usage = TOLD if tells else None
    text, usage = await _answer()
    assert text == "".join(f"word{place} " for place in range(WORDS))
    if tells:
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (7, 3, 10)
        assert usage.prompt_tokens_details.cached_tokens == 5
        # It is told in one chunk of them, and nothing else is looked into.
        assert built and set(built) == {1}
    else:
        # What we count ourselves is marked as that.
        assert usage is None
        assert built == []
