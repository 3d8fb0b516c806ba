"""How many connections the model client opens, and to which addresses."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.llm import Completion, Llm
from shared.settings import ModelSettings
from tests.integration.waiting import until

_ANSWER = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "done"}}],
    }
).encode()


class Provider:
    """An OpenAI-like server that answers when it is let; counts its open connections."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.open = 0
        self.most_open = 0
        self.answers = asyncio.Event()
        self.asked = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(length.partition(b":")[2]))
                async with self.asked:
                    self.requests += 1
                    self.asked.notify_all()
                await self.answers.wait()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(_ANSWER), _ANSWER)
                )
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass  # the client has closed its connection
        finally:
            self.open -= 1
            writer.close()

    async def wait_for(self, requests: int) -> None:
        """Wait until so many requests were made."""
        async with asyncio.timeout(20), self.asked:
            await self.asked.wait_for(lambda: self.requests >= requests)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider.url = f"http://127.0.0.1:{port}/v1"
    async with server:
        yield provider


@pytest.mark.parametrize(
    ("limits", "most"),
    [({}, 30), ({"model_connections": 7}, 7), ({"model_connections_per_host": 5}, 5)],
    ids=["default", "in all", "a host"],
)
async def test_forty_calls_share_the_connections_that_the_settings_allow(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], most: int
) -> None:
    monkeypatch.setenv("OPENAI_API_BASE", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", f"usual-{most}")
    llm = Llm(ModelSettings(default_model="openai/m", **limits))  # type: ignore[arg-type]
    # Half of them with a key of the assistant's, for which litellm has a client of its own.
    llm._keys = {"OPENAI_API_KEY_OTHER": f"other-{most}"}
    names = [None, "OPENAI_API_KEY_OTHER"] * 20
    messages = [{"role": "user", "content": "hello"}]
    # GIVEN forty calls at once, none of which is answered
    calls = [
        asyncio.create_task(llm.complete(model="openai/m", messages=messages, provider_key=name)) for name in names
    ]
    await provider.wait_for(most)
    # WHEN they are answered THEN all are, over no more connections than that
    provider.answers.set()
    answers = await asyncio.gather(*calls)
    assert [answer.text for answer in answers] == ["done"] * 40
    assert (provider.requests, provider.most_open) == (40, most)
    # ... none of which is left in the end.
    await llm.close()
    await until(lambda: not provider.open)


@pytest.mark.parametrize(("ttl_s", "times"), [(300, 1), (0, 2)])
async def test_an_address_is_good_for_as_long_as_the_settings_say(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, ttl_s: int, times: int
) -> None:
    loop = asyncio.get_running_loop()
    look_up, names = loop.getaddrinfo, list[Any]()

    async def noted(host: Any, *arguments: Any, **options: Any) -> Any:
        names.append(host)
        return await look_up(host, *arguments, **options)

    monkeypatch.setattr(loop, "getaddrinfo", noted)
    monkeypatch.setenv("OPENAI_API_BASE", provider.url.replace("127.0.0.1", "localhost"))
    monkeypatch.setenv("OPENAI_API_KEY", f"for-{ttl_s}-s")
    llm = Llm(ModelSettings(default_model="openai/m", model_dns_ttl_s=ttl_s))
    # GIVEN a call that is not answered WHEN there is another THEN it needs a connection of its own
    messages = [{"role": "user", "content": "hello"}]
    calls: list[asyncio.Task[Completion]] = []
    for number in (1, 2):
        calls.append(asyncio.create_task(llm.complete(model="openai/m", messages=messages)))
        await provider.wait_for(number)
    provider.answers.set()
    await asyncio.gather(*calls)
    assert names.count("localhost") == times
    await llm.close()
