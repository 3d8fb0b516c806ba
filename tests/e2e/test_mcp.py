"""A public MCP server, used by a run over streamable HTTP."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncGenerator

import httpx
import pytest

from clients.terminal.stack import Stack
from tests.e2e.conftest import ROOT, RunningStack
from tests.e2e.following import PATIENCE_S, events_of_run, subscribed
from tests.e2e.threads import ended_run, new_assistant, new_thread, start_run, stored_messages

BIN = ROOT / ".local/venvs/mcp-server/bin"
NATIVE = {"native_tool_calling": True, "xml_tool_calling": False}


@pytest.fixture
async def time_server(stack: RunningStack, mcp_port: int) -> AsyncGenerator[str]:
    """mcp-server-time, behind mcp-proxy; its URL."""
    server = await asyncio.create_subprocess_exec(
        *(BIN / "mcp-proxy", "--port", str(mcp_port), "--host", "127.0.0.1", BIN / "mcp-server-time"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not _listens(mcp_port):
                assert server.returncode is None
                await asyncio.sleep(0.05)  # between two looks at an observable state
        yield f"http://127.0.0.1:{mcp_port}/mcp"
    finally:
        server.terminate()
        await server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_run_uses_a_public_mcp_server(http: httpx.AsyncClient, time_server: str) -> None:
    assistant = await new_assistant(http, mcp_servers=[{"name": "clock", "url": time_server}], processor=NATIVE)
    thread_id = await new_thread(http)
    arguments = '{"source_timezone": "Asia/Tokyo", "time": "12:00", "target_timezone": "Asia/Kolkata"}'
    run = await start_run(
        http, thread_id, f"[[tool clock__convert_time {arguments}]] [[say half past eight]]", assistant_id=assistant
    )
    assert (await ended_run(http, run))["status"] == "success"
    messages = await stored_messages(http, thread_id)
    assert [message["type"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert "08:30" in messages[2]["content"]["content"]


async def test_a_call_of_an_mcp_tool_waits_for_approval(http: httpx.AsyncClient, time_server: str) -> None:
    server = {"name": "clock", "url": time_server, "needs_approval": ["convert_*"]}
    assistant = await new_assistant(http, mcp_servers=[server], processor=NATIVE)
    thread_id = await new_thread(http)
    arguments = '{"source_timezone": "Asia/Tokyo", "time": "12:00", "target_timezone": "Asia/Kolkata"}'
    run = await start_run(
        http, thread_id, f"[[tool clock__convert_time {arguments}]] [[say so]]", assistant_id=assistant
    )
    assert (await ended_run(http, run))["status"] == "interrupted"
    assert [message["type"] for message in await stored_messages(http, thread_id)] == ["user", "assistant"]

    # Without its server the assistant could not go on: who goes on is the one that asked.
    changed = await http.patch(f"/assistants/{assistant}", json={"config": {"configurable": {"mcp_servers": []}}})
    assert changed.status_code == 200, changed.text
    body = {"assistant_id": assistant, "command": {"resume": True}}
    answered = await asyncio.gather(*(http.post(f"/threads/{thread_id}/runs", json=body) for _ in range(2)))
    assert sorted(answer.status_code for answer in answered) == [200, 404]
    (following,) = [answer.json() for answer in answered if answer.status_code == 200]
    assert (await ended_run(http, following))["status"] == "success"
    results = [message for message in await stored_messages(http, thread_id) if message["type"] == "tool"]
    assert ["08:30" in result["content"]["content"] for result in results] == [True]


async def test_a_server_out_of_reach_is_told_and_the_run_goes_on(http: httpx.AsyncClient, client: Stack) -> None:
    # A private address that the stack was not told about: as good as one that is away.
    servers = [{"name": "clock", "url": "http://127.0.0.1:9/mcp"}]
    assistant = await new_assistant(http, mcp_servers=servers, processor=NATIVE)
    thread_id = await new_thread(http)
    async with subscribed(client, thread_id) as socket_:
        run = await start_run(http, thread_id, "[[say without a clock]]", assistant_id=assistant)
        events = await events_of_run(socket_)
    assert (await ended_run(http, run))["status"] == "success"
    told = [event["params"]["data"] for event in events if event["method"] == "custom"]
    assert [(data["name"], data["payload"]["server"]) for data in told] == [("mcp_server_unusable", "clock")]
