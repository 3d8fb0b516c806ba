"""One thread, seen from a client: send a message, follow the run's events to its end."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect

from clients.terminal.stack import Stack

CHANNELS = ["lifecycle", "messages", "tools", "input", "custom"]
TERMINAL = frozenset({"completed", "failed", "interrupted"})

# The gateway ends a connection that is idle for ten minutes; control frames may not count.
PING_S = 300.0
# As long as API Gateway itself waits for `$connect`: of many at once, some wait for processes to start.
CONNECT_S = 29.0


class RefusedError(Exception):
    """The service has refused a request; the message is its own."""


class Conversation:
    """A connection to one thread. Use as an async context manager."""

    def __init__(self, stack: Stack, thread_id: str | None = None) -> None:
        """``thread_id``: an existing thread to go on with; without it a new one begins."""
        self._stack = stack
        self._existing = thread_id
        self.thread_id = thread_id or str(uuid.uuid4())
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect and subscribe."""
        self._http = await self._exit.enter_async_context(
            httpx.AsyncClient(base_url=self._stack.base_url, headers=self._stack.headers, timeout=30)
        )
        if self._existing is None:
            await self._post("/threads", {"thread_id": self.thread_id})
        self._socket: ClientConnection = await self._exit.enter_async_context(
            connect(
                self._stack.websocket_url(self.thread_id),
                additional_headers=self._stack.headers,
                open_timeout=CONNECT_S,
            )
        )
        await self._socket.send(
            json.dumps({"id": 1, "method": "subscription.subscribe", "params": {"channels": CHANNELS}})
        )
        answer = json.loads(await self._socket.recv())
        if answer["type"] != "success":
            raise RefusedError(answer.get("message", str(answer)))
        pinging = asyncio.create_task(self._ping())
        self._exit.callback(pinging.cancel)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._exit.aclose()

    async def messages(self) -> list[dict[str, Any]]:
        """What was said so far."""
        answer = await self._http.get(f"/threads/{self.thread_id}/state")
        return _checked(answer)["values"]["messages"]

    async def ask(self, text: str, *, config: dict[str, Any] | None = None) -> AsyncGenerator[dict[str, Any]]:
        """Send a message; yields the events of its run, the terminal one last."""
        body = {
            "assistant_id": "agent",
            "input": {"messages": [{"role": "user", "content": text}]},
            "config": {"configurable": config or {}},
        }
        run = await self._post(f"/threads/{self.thread_id}/runs", body)
        async for raw in self._socket:
            event = json.loads(raw)
            if event.get("type") != "event" or event["params"].get("run_id") != run["run_id"]:
                continue
            yield event
            if event["method"] == "lifecycle" and event["params"]["data"]["event"] in TERMINAL:
                return
        raise RefusedError("the connection was closed before the run ended")

    async def ping(self) -> None:
        """One command and its answer. Not while a run's events are being followed: both read the connection."""
        await self._socket.send(json.dumps({"id": 0, "method": "ping"}))
        await self._socket.recv()

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _checked(await self._http.post(path, json=body))

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_S)
            await self._socket.send(json.dumps({"id": 0, "method": "ping"}))  # the answer is passed over


def _checked(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    try:
        message = answer.json()["message"]
    except (ValueError, KeyError):
        message = answer.text
    raise RefusedError(f"{answer.status_code}: {message}")
