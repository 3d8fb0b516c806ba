"""A client that watches a thread, is cut off, and comes back with the last number that it has seen."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from clients.terminal.stack import Stack
from tests.e2e.following import ALL_CHANNELS, PATIENCE_S, command, next_frame, nothing_came_early

type Frame = dict[str, Any]

ENDS = {"completed", "failed"}


def is_end(frame: Frame) -> bool:
    """Whether it ends a run."""
    return frame["method"] == "lifecycle" and frame["params"]["data"]["event"] in ENDS


def told(frames: Iterable[Frame]) -> list[tuple[int, str, Any]]:
    """What has to be the same for everybody: number, id and data of what has a number."""
    return [(frame["seq"], frame["event_id"], frame["params"]["data"]) for frame in frames if "seq" in frame]


class Watcher:
    """``frames``: the events as they came, over all its connections; ``repeats``: those that it had already."""

    def __init__(self, client: Stack, thread_id: str) -> None:
        self._client = client
        self._thread_id = thread_id
        self.frames: list[Frame] = []
        self.repeats: list[Frame] = []

    @property
    def last_seq(self) -> int:
        """The highest number seen."""
        return max((frame["seq"] for frame in self.frames if "seq" in frame), default=0)

    @asynccontextmanager
    async def subscribed(self, **params: Any) -> AsyncGenerator[ClientConnection]:
        """A connection that is subscribed since the last number seen."""
        async with connect(self._client.websocket_url(self._thread_id), additional_headers=self._client.headers) as at:
            given = {"channels": ALL_CHANNELS, "since": self.last_seq, **params}
            answer = await self.ask(at, "subscription.subscribe", given)
            assert answer["type"] == "success", answer
            yield at

    async def ask(self, at: ClientConnection, method: str, params: dict[str, Any] | None = None) -> Frame:
        """Send a command; its answer. Events that overtake it are taken."""
        answer = await command(at, method, params)
        while not nothing_came_early(at):
            self._take(await next_frame(at))
        return answer

    async def until(self, at: ClientConnection, reached: Callable[["Watcher"], bool]) -> None:
        """Take events until ``reached``."""
        while not reached(self):
            frame = await next_frame(at)
            if frame["type"] == "event":
                self._take(frame)

    async def until_end(self, at: ClientConnection, *, ends: int = 1) -> None:
        """Take events until so many runs have ended."""
        await self.until(at, lambda watcher: sum(is_end(frame) for frame in watcher.frames) >= ends)

    async def through_cuts(self, chance: random.Random, *, shortest: int, longest: int) -> int:
        """Watch a run to its end, while the connection is cut after every few events; how often it was."""
        cuts = 0
        async with asyncio.timeout(3 * PATIENCE_S):
            while not any(is_end(frame) for frame in self.frames):
                goal = len(self.frames) + chance.randint(shortest, longest)
                async with self.subscribed() as at:
                    await self.until(
                        at,
                        lambda watcher, goal=goal: (
                            len(watcher.frames) >= goal or any(is_end(frame) for frame in watcher.frames)
                        ),
                    )
                    # Nobody says goodbye.
                    at.transport.abort()
                    cuts += 1
        return cuts

    def _take(self, frame: Frame) -> None:
        known = "seq" in frame and any(frame["seq"] == other.get("seq") for other in self.frames)
        (self.repeats if known else self.frames).append(frame)


def folded(frames: Iterable[Frame]) -> dict[str, str]:
    """The thread's messages by id, as somebody knows them who has seen these events: a snapshot replaces what was."""
    state: dict[str, str] = {}
    open_id: str | None = None
    for frame in frames:
        data = frame["params"]["data"]
        if frame["method"] == "values":
            state = {message["id"]: message["content"] for message in data["messages"]}
        elif frame["method"] == "messages" and data["event"] == "message-start":
            open_id = data["id"]
        elif frame["method"] == "messages" and data["event"] == "content-block-finish" and open_id is not None:
            state |= {open_id: data["content"]["text"]} if data["content"]["type"] == "text" else {}
    return state
