"""Following a thread's events as a client that nobody of ours wrote would."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from langchain_protocol import protocol
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection, connect

from clients.terminal.stack import Stack

ALL_CHANNELS = ["lifecycle", "messages", "tools", "input", "values", "custom"]
PATIENCE_S = 60.0
_TYPES: dict[str | None, TypeAdapter[Any]] = {
    "event": TypeAdapter(protocol.Event),
    "success": TypeAdapter(protocol.CommandResponse),
    "error": TypeAdapter(protocol.ErrorResponse),
}
# Events that came before the answer to a command: answers and events take two ways to the gateway.
_early: WeakKeyDictionary[ClientConnection, deque[dict[str, Any]]] = WeakKeyDictionary()


@asynccontextmanager
async def subscribed(
    stack: Stack, thread_id: str, channels: list[str] | None = None, **params: Any
) -> AsyncGenerator[ClientConnection]:
    """A connection that is subscribed to the thread."""
    async with connect(stack.websocket_url(thread_id), additional_headers=stack.headers) as socket:
        subscribe = {"channels": channels or ALL_CHANNELS, **params}
        answer = await command(socket, "subscription.subscribe", subscribe)
        assert answer["type"] == "success", answer
        yield socket


async def command(socket: ClientConnection, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send a command; its answer. Events that come before it are what :func:`next_frame` gives next."""
    await socket.send(json.dumps({"id": 7, "method": method, "params": params or {}}))
    while (frame := await _received(socket)).get("type") == "event":
        _early.setdefault(socket, deque()).append(frame)
    return frame


async def next_frame(socket: ClientConnection) -> dict[str, Any]:
    """The next frame, which is as the protocol's types say, or a failure that says so."""
    early = _early.get(socket)
    return early.popleft() if early else await _received(socket)


def nothing_came_early(socket: ClientConnection) -> bool:
    """Whether the answers to commands were all that came since the last :func:`next_frame`."""
    return not _early.get(socket)


async def _received(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        frame = json.loads(await socket.recv())
    if kind := _TYPES.get(frame.get("type")):  # API Gateway's own frames have none
        kind.validate_python(frame)
    return frame


async def events_of_run(socket: ClientConnection) -> list[dict[str, Any]]:
    """The events up to the next root terminal lifecycle event."""
    events: list[dict[str, Any]] = []
    while True:
        frame = await next_frame(socket)
        if frame["type"] != "event":
            continue
        events.append(frame)
        if frame["method"] == "lifecycle" and frame["params"]["data"]["event"] in {"completed", "failed"}:
            return events


def text_of(events: list[dict[str, Any]]) -> str:
    """What the deltas say, together."""
    deltas = [event["params"]["data"].get("delta", {}) for event in events if event["method"] == "messages"]
    return "".join(delta.get("text", "") for delta in deltas)


async def eventually[T](
    ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], *, within_s: float = PATIENCE_S
) -> T:
    """Ask until the answer ``holds``; fails with the last answer."""
    async with asyncio.timeout(within_s) as patience:
        while True:
            answer = await ask()
            if holds(answer):
                return answer
            try:
                await asyncio.sleep(0.05)  # between two looks at an observable state
            except asyncio.CancelledError:
                if patience.expired():
                    raise AssertionError(f"still {answer!r}") from None
                raise
