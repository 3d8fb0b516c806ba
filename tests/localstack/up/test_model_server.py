"""The scripted model over HTTP, as its clients see it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web

from suna_localstack.model.issuer import AUDIENCE, ISSUER, Issuer
from suna_localstack.model.server import FIRST_DELAY_HEADER, ScriptedModel


@pytest.fixture
async def base(tmp_path: Path) -> AsyncIterator[str]:
    app = ScriptedModel(first_s=0.0).application()
    app.add_routes(Issuer(tmp_path / "issuer.pem").routes())
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "scripted", "messages": [{"role": "user", "content": text}], **more}


async def stream(session: aiohttp.ClientSession, base: str, text: str, **more: Any) -> list[dict[str, Any]]:
    chunks: list[dict[str, Any]] = []
    async with session.post(f"{base}/v1/chat/completions", json=body(text, stream=True, **more)) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        async for line in response.content:
            data = line.decode().removeprefix("data: ").strip()
            if data and data != "[DONE]":
                chunks.append(json.loads(data))
    return chunks


async def whole(session: aiohttp.ClientSession, base: str, text: str) -> dict[str, Any]:
    async with session.post(f"{base}/v1/chat/completions", json=body(text)) as response:
        assert response.status == 200
        return await response.json()


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def finish(chunks: list[dict[str, Any]]) -> list[str]:
    return [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]]


async def test_streams_tokens_at_their_rate_with_usage(session: aiohttp.ClientSession, base: str) -> None:
    started = time.monotonic()
    chunks = await stream(session, base, "[[tokens 20 rate 100]]", stream_options={"include_usage": True})
    seconds = time.monotonic() - started

    assert text_of(chunks) == "".join(f"token{number} " for number in range(1, 21))
    assert finish(chunks) == ["stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 20
    assert seconds >= 0.19


async def test_no_usage_unless_asked_for(session: aiohttp.ClientSession, base: str) -> None:
    chunks = await stream(session, base, "[[tokens 2 rate 0]]")

    assert not any("usage" in chunk for chunk in chunks)


async def test_streamed_tool_calls_are_keyed_by_index(session: aiohttp.ClientSession, base: str) -> None:
    chunks = await stream(session, base, '[[tools parallel a {"x": 1} b {"y": "two"}]]')
    deltas = [call for chunk in chunks for c in chunk["choices"] for call in c["delta"].get("tool_calls", [])]

    arguments: dict[int, str] = {}
    for call in deltas:
        arguments[call["index"]] = arguments.get(call["index"], "") + call["function"]["arguments"]
    named = [call for call in deltas if "id" in call]

    assert [call["function"]["name"] for call in named] == ["a", "b"]
    assert len({call["id"] for call in named}) == 2
    assert {index: json.loads(text) for index, text in arguments.items()} == {0: {"x": 1}, 1: {"y": "two"}}
    assert finish(chunks) == ["tool_calls"]


async def test_whole_answers(session: aiohttp.ClientSession, base: str) -> None:
    plain = await whole(session, base, "What is a lease?")
    called = await whole(session, base, '[[say let me see ]] [[tool search {"q": 1}]]')
    malformed = await whole(session, base, "[[malformed search]]")
    cut = await whole(session, base, "[[length 3]]")
    refused = await whole(session, base, "[[refuse filter]]")
    empty = await whole(session, base, "[[empty]]")

    assert "What is a lease?" in plain["choices"][0]["message"]["content"]
    assert plain["usage"]["total_tokens"] == plain["usage"]["prompt_tokens"] + plain["usage"]["completion_tokens"]
    message = called["choices"][0]["message"]
    assert message["content"] == "let me see"
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"q": 1}
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(malformed["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
    assert (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 3)
    assert refused["choices"][0]["finish_reason"] == "content_filter"
    assert refused["choices"][0]["message"]["refusal"] == "I can't help with that."
    assert empty["choices"][0]["message"]["content"] == ""


async def test_a_counted_failure_goes_away(session: aiohttp.ClientSession, base: str) -> None:
    text = "[[status 429 times 2 key k retry 1]] [[say through]]"
    statuses: list[tuple[int, str | None]] = []
    answer: dict[str, Any] = {}
    for _ in range(3):
        async with session.post(f"{base}/v1/chat/completions", json=body(text)) as response:
            statuses.append((response.status, response.headers.get("retry-after")))
            answer = await response.json()

    assert statuses == [(429, "1"), (429, "1"), (200, None)]
    assert answer["choices"][0]["message"]["content"] == "through"


async def test_a_failure_without_count_stays(session: aiohttp.ClientSession, base: str) -> None:
    for _ in range(3):
        async with session.post(f"{base}/v1/chat/completions", json=body("[[status 500]]")) as response:
            assert response.status == 500
            assert (await response.json())["error"]["type"] == "server_error"


async def test_a_broken_stream_ends_without_its_end(session: aiohttp.ClientSession, base: str) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await stream(session, base, "[[break after 3]]")

    async with session.get(f"{base}/calls") as response:
        (call,) = (await response.json())["calls"]
    assert (call["outcome"], call["tokens"]) == ("broken", 3)


@pytest.mark.parametrize("script", ["[[stall after 2]]", "[[endless rate 200]]", "[[tokens 1]] [[delay 60]]"])
async def test_a_client_that_goes_away_is_noticed(session: aiohttp.ClientSession, base: str, script: str) -> None:
    async with session.post(f"{base}/v1/chat/completions", json=body(script, stream=True)) as response:
        async for line in response.content:
            if b"token1" in line:
                break
        response.close()

    async def outcome() -> str:
        async with session.get(f"{base}/calls") as answer:
            return (await answer.json())["calls"][0]["outcome"]

    async with asyncio.timeout(5):
        while await outcome() != "cancelled":  # noqa: ASYNC110 - the server's state
            await asyncio.sleep(0.02)


async def test_the_delay_of_the_first_token_is_reported(session: aiohttp.ClientSession, base: str) -> None:
    started = time.monotonic()
    request = body("[[first 0.2]] [[tokens 1 rate 0]]", stream=True)
    async with session.post(f"{base}/v1/chat/completions", json=request) as response:
        await response.read()
        assert response.headers[FIRST_DELAY_HEADER] == "200"
    assert time.monotonic() - started >= 0.2


async def test_calls_can_be_searched_and_forgotten(session: aiohttp.ClientSession, base: str) -> None:
    await whole(session, base, "[[say one]]")
    await whole(session, base, "[[say two]]")

    async with session.get(f"{base}/calls", params={"contains": "say two"}) as response:
        found = await response.json()
    async with session.delete(f"{base}/calls") as response:
        assert response.status == 204
    async with session.get(f"{base}/calls") as response:
        forgotten = await response.json()

    assert found["count"] == 1
    assert found["calls"][0]["body"]["messages"][0]["content"] == "[[say two]]"
    assert forgotten == {"count": 0, "active": 0, "calls": []}


@pytest.mark.parametrize("payload", ["no json", "[]", '{"messages": "hi"}', '{"messages": []}', "{}"])
async def test_malformed_requests_are_refused(session: aiohttp.ClientSession, base: str, payload: str) -> None:
    async with session.post(f"{base}/v1/chat/completions", data=payload) as response:
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_issued_tokens_verify_with_the_published_keys(session: aiohttp.ClientSession, base: str) -> None:
    async with session.get(f"{base}/.well-known/openid-configuration") as response:
        configuration = await response.json()
    async with session.post(configuration["token_endpoint"], json={"sub": "account"}) as response:
        token = (await response.json())["token"]
    async with session.get(configuration["jwks_uri"]) as response:
        keys = jwt.PyJWKSet.from_dict(await response.json())

    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)
    assert claims["sub"] == "account"
