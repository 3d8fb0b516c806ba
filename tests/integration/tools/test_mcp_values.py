"""What an MCP server answers is parsed on the loop of all runs of a process: it has a bounded number of values."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from functions.runner.tools.builtin.mcp import McpError, McpServer
from functions.runner.tools.builtin.mcp_session import MAX_VALUES, McpSession
from shared.network.addresses import resolve
from tests.turns import turns

_OPENED = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
_TYPES = {"json": "application/json", "events": "text/event-stream"}


@asynccontextmanager
async def session(answers: dict[str, Any], *, kind: str = "json", refusal: str = "no") -> AsyncIterator[McpSession]:
    """A session with a server that has ``answers`` to methods, sent as ``kind``, and a ``refusal`` for all others."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int((head.split("content-length:")[1:] or ["0"])[0].split("\r\n")[0])
                asked = json.loads(await reader.readexactly(length) or b"{}")
                if "id" not in asked:
                    writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
                    continue
                result = ({"initialize": _OPENED} | answers).get(asked["method"])
                said = {"result": result} if result is not None else {"error": {"code": -32601, "message": refusal}}
                body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], **said}).encode()
                if kind != "json":
                    body = b': "a comment\n\ndata: ' + body + b"\n\n"
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {_TYPES[kind]}; charset=utf-16\r\n".encode())
                writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    one = McpSession(
        McpServer(name="x", url=f"http://127.0.0.1:{port}/"),
        allowed_private=[("127.0.0.1", port)],
        resolver=resolve,
    )
    await one.open(timeout_s=15)
    try:
        yield one
    finally:
        await one.close()
        server.close()
        server.close_clients()


def _blocks(count: int, **block: Any) -> dict[str, Any]:
    return {"tools/call": {"content": [block] * count}}


async def _failure(asked: Callable[[], Any]) -> str:
    """What is said of it."""
    with pytest.raises(McpError) as failure:
        await asked()
    return str(failure.value)


@pytest.mark.parametrize("kind", _TYPES)
async def test_an_answer_of_very_many_values_is_not_parsed(kind: str) -> None:
    tool = {"name": "a", "inputSchema": {"type": "object"}}
    answers = {"tools/list": {"tools": [tool] * 75_000}, **_blocks(120_000, type="text", text="")}
    async with session(answers, kind=kind) as one:
        for asked in (one.list_tools, lambda: one.call("a", {}, timeout_s=30)):
            said = await _failure(asked)
            assert f"more than {MAX_VALUES:,} values" in said


@pytest.mark.parametrize("kind", _TYPES)
async def test_an_answer_of_as_many_values_as_there_may_be_is_read(kind: str) -> None:
    text = 'a, [b], {"c"}, ' * 10_000
    async with session(_blocks(6, type="text", text=text), kind=kind) as one:
        assert (await one.call("a", {}, timeout_s=30)).output == "\n".join([text] * 6)
    async with session(_blocks(6_000, type="text", text=""), kind=kind) as one:
        assert (await one.call("a", {}, timeout_s=30)).success


async def test_while_an_answer_is_read_others_have_their_turns() -> None:
    async with session(_blocks(1, type="text", text="a" * 3_000_000)) as one, turns() as others:
        assert (await one.call("a", {}, timeout_s=30)).success
        # It comes in parts of 64 KB, or fewer, each of which is read in slices.
        assert others.taken > 3_000_000 // 10_000


async def test_of_very_many_errors_few_are_told() -> None:
    async with session(_blocks(9_000, type="x")) as one:
        said = await _failure(lambda: one.call("a", {}, timeout_s=30))
        assert "is not as MCP has it, in" in said
        assert len(said) < 200
    async with session(_blocks(3, type="x")) as one:
        said = await _failure(lambda: one.call("a", {}, timeout_s=30))
        assert "content.0" in said
        assert said.count(";") == 4
        assert len(said) < 2_200


async def test_what_a_server_says_of_a_failure_is_cut() -> None:
    async with session({}, refusal="x" * 1_000_000) as one:
        said = await _failure(lambda: one.call("a", {}, timeout_s=30))
        assert len(said) < 2_200
