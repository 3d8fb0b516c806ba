"""An API key in the deployed stack: from its making, through a run that it starts and watches, to its end."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import PermissionDeniedError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from clients.terminal.stack import Stack
from tests.e2e.conftest import LOCAL_DIR, RunningStack
from tests.e2e.following import ALL_CHANNELS, PATIENCE_S, command, events_of_run, eventually, text_of
from tests.e2e.threads import ended_run


async def _made(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post("/api-keys", json={"name": "end to end"} | body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_key_from_its_making_to_its_end(
    stack: RunningStack, http: httpx.AsyncClient, client: Stack, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    key, reader = await _made(http), await _made(http, scopes=["read"])

    said: dict[str, Any] = {"messages": [{"role": "user", "content": "[[say with a key]]"}]}
    async with get_client(url=stack.base_url, api_key=key["secret"]) as sdk:
        thread_id = (await sdk.threads.create())["thread_id"]
        reading = {"x-api-key": reader["secret"]}
        async with connect(client.websocket_url(thread_id), additional_headers=reading) as watching:
            await command(watching, "subscription.subscribe", {"channels": ALL_CHANNELS})
            run = await sdk.runs.create(thread_id, "agent", input=said)
            events = await events_of_run(watching)
            assert text_of(events).strip() == "with a key"
            refused = await command(watching, "run.start", {"assistant_id": "agent", "input": said})
            assert (refused["type"], refused["error"]) == ("error", "permission_denied")
    assert (await ended_run(http, dict(run)))["status"] == "success"

    # One that may read sees it all, and changes nothing.
    async with get_client(url=stack.base_url, api_key=reader["secret"]) as sdk:
        assert (await sdk.threads.get(thread_id))["thread_id"] == thread_id
        assert [found["thread_id"] for found in await sdk.threads.search()] == [thread_id]
        with pytest.raises(PermissionDeniedError):
            await sdk.runs.create(thread_id, "agent", input=said)

    listed = {one["key_id"]: one for one in (await http.get("/api-keys")).json()}
    assert listed.keys() == {key["key_id"], reader["key_id"]}
    assert all(one["last_used_at"] for one in listed.values())

    # Revoked, it is good for half a minute at most; connections that are open are closed.
    async with connect(client.websocket_url(thread_id), additional_headers={"x-api-key": key["secret"]}) as open_still:
        assert (await http.delete(f"/api-keys/{key['key_id']}")).status_code == 204
        async with httpx.AsyncClient(base_url=stack.base_url, headers={"x-api-key": key["secret"]}) as by_key:
            answer = await eventually(
                lambda: by_key.get(f"/threads/{thread_id}"), lambda answer: answer.status_code != 200
            )
        assert (answer.status_code, answer.json()["message"]) == (401, "the API key has been revoked")
        await asyncio.wait_for(open_still.wait_closed(), PATIENCE_S)
    with pytest.raises(InvalidStatus):
        async with connect(client.websocket_url(thread_id), additional_headers={"x-api-key": key["secret"]}):
            pass

    # Nobody has written a key down.
    assert any(line.get("path") == "/api-keys" for line in log_lines())
    for file in _logs():
        text = file.read_text(encoding="utf-8", errors="replace")
        for secret in (key["secret"], reader["secret"]):
            assert secret.removeprefix("sk_suna_") not in text, file.name


def _logs() -> list[Path]:
    return sorted((LOCAL_DIR / "logs").glob("*.log"))
