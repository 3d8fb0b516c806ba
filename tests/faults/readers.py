"""Clients that watch a thread while a fault meets its run. Each knows in the end what was told, or that it missed some.

Four of them in every case: a WebSocket from before the run; one that is cut off while the run waits at its point, and
comes back when the fault is done; one that subscribes while the run waits; a reader of the run's stream over HTTP, as
``langgraph-sdk`` reads it. None of them is helped: one that waits for what never comes does not connect again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import APIStatusError
from langgraph_sdk.schema import StreamMode, StreamPart
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from clients.terminal.stack import Stack
from tests.e2e.following import ALL_CHANNELS, command, next_frame
from tests.e2e.watching import Frame, folded

# Between two tries of a client that is refused.
_PAUSE_S = 0.3
_MODES: list[StreamMode] = ["messages-tuple", "custom", "values"]


@dataclass(frozen=True)
class Answer:
    """A message of an assistant, as the database has it."""

    message_id: str
    run_id: str
    text: str


def declared(frame: Frame) -> set[int]:
    """The numbers that a frame says are missing."""
    data = frame["params"]["data"]
    if frame["method"] != "custom" or data.get("name") != "gap":
        return set()
    return set(range(data["payload"]["from"], data["payload"]["to"] + 1))


def ranges(numbers: Sequence[int]) -> str:
    """Numbers in order, for people: ``1-3, 7``."""
    text: list[str] = []
    for place, number in enumerate(numbers):
        if place == 0 or number != numbers[place - 1] + 1:
            text.append(str(number))
        elif place == len(numbers) - 1 or number != numbers[place + 1] - 1:
            text[-1] += f"-{number}"
    return ", ".join(text)


class SocketReader:
    """``frames``: what came, whatever the connection, each id once."""

    def __init__(self, name: str, client: Stack, thread_id: str) -> None:
        self.name = name
        self._client = client
        self._thread_id = thread_id
        self._at: ClientConnection | None = None
        self._may_connect = asyncio.Event()
        self._may_connect.set()
        self._seen: dict[int, Frame] = {}
        self.frames: list[Frame] = []
        self.problems: list[str] = []
        self.subscribed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    def cut_off(self) -> None:
        """Lose the connection without a word, and make no other until :meth:`come_back`."""
        self._may_connect.clear()
        if self._at is not None:
            self._at.transport.abort()

    def come_back(self) -> None:
        """Connect again, with the last number seen."""
        self._may_connect.set()

    async def close(self) -> None:
        """End it."""
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    def knows(self, last_seq: int) -> bool:
        """Whether it has, or was told that it misses, every event up to a number."""
        known = set(self._seen).union(*map(declared, self.frames))
        return known.issuperset(range(1, last_seq + 1))

    def misses(self, last_seq: int) -> list[int]:
        """The numbers that it neither has nor was told about."""
        return sorted(set(range(1, last_seq + 1)) - set(self._seen).union(*map(declared, self.frames)))

    def judged(self, *, last_seq: int, log: Sequence[Frame], answers: Sequence[Answer]) -> list[str]:
        """What is wrong with what it knows: against the log, and against the assistant's messages."""
        found = list(self.problems)
        if missing := self.misses(last_seq):
            found.append(f"lost: {self.name} was not told events {ranges(missing)}")
        logged = {frame["seq"]: frame for frame in log}
        found += [
            f"duplicated: {self.name} has another event {seq} than the log"
            for seq, frame in self._seen.items()
            if seq in logged and _said(frame) != _said(logged[seq])
        ]
        state = folded(self.frames)
        found += [
            f"lost: {self.name} knows {state.get(answer.message_id)!r} of {answer}"
            for answer in answers
            if state.get(answer.message_id) != answer.text
        ]
        return found

    async def _read(self) -> None:
        while True:
            await self._may_connect.wait()
            with suppress(OSError, WebSocketException, TimeoutError):
                async with self._connected() as at:
                    self.subscribed.set()
                    await self._take_from(at)
            await asyncio.sleep(_PAUSE_S)

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[ClientConnection]:
        url = self._client.websocket_url(self._thread_id)
        async with connect(url, additional_headers=self._client.headers) as at:
            self._at = at
            since = max(self._seen, default=0)
            answer = await command(at, "subscription.subscribe", {"channels": ALL_CHANNELS, "since": since})
            if answer["type"] != "success":
                # It may have been done all the same: events that came with a refusal are as good as any.
                raise ConnectionRefusedError(answer["message"])
            yield at

    async def _take_from(self, at: ClientConnection) -> None:
        while True:
            try:
                frame = await next_frame(at)
            except TimeoutError:
                continue  # nothing was said for a while, which is no reason to connect again
            if frame.get("type") == "event":
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        seq = frame.get("seq")
        if seq is None:
            self.frames.append(frame)
            return
        before = self._seen.setdefault(seq, frame)
        if before is frame:
            if seq < max(self._seen):
                self.problems.append(f"duplicated: {self.name} was told event {seq} after {max(self._seen)}")
            self.frames.append(frame)
        elif _said(before) != _said(frame):
            self.problems.append(f"duplicated: {self.name} was told two events {seq}")


class StreamReader:
    """Reads a run's stream as ``langgraph-sdk`` does, until its event ``end``."""

    def __init__(self, name: str, sdk: LangGraphClient, *, thread_id: str, run_id: str) -> None:
        self.name = name
        self._sdk = sdk
        self._thread_id = thread_id
        self._run_id = run_id
        self.parts: list[StreamPart] = []
        self.ended = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        """End it."""
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    async def _read(self) -> None:
        while not self.ended.is_set():
            last = next((part.id for part in reversed(self.parts) if part.id), None)
            with suppress(httpx.TransportError, APIStatusError):
                async for part in self._sdk.runs.join_stream(
                    self._thread_id, self._run_id, stream_mode=_MODES, last_event_id=last
                ):
                    self.parts.append(part)
                    if part.event == "end":
                        self.ended.set()
            await asyncio.sleep(_PAUSE_S)

    def judged(self, *, answers: Sequence[Answer]) -> list[str]:
        """What is wrong with what it knows, against the assistant's messages in the run."""
        if not self.ended.is_set():
            return [f"lost: {self.name} was not told the end, after {len(self.parts)} events"]
        ids = Counter(part.id for part in self.parts if part.id and part.event != "metadata")
        found = [f"duplicated: {self.name} was told {one} {count} times" for one, count in ids.items() if count > 1]
        states: list[Any] = [part.data for part in self.parts if part.event == "values"]
        state = {message["id"]: message["content"] for message in (states[-1]["messages"] if states else [])}
        streamed = self._streamed()
        for answer in answers:
            if answer.run_id != self._run_id:
                continue
            if state.get(answer.message_id) != answer.text:
                found.append(f"lost: {self.name} knows {state.get(answer.message_id)!r} of {answer}")
            if len(streamed.get(answer.message_id, "")) > len(answer.text):
                found.append(f"duplicated: {self.name} was told {streamed[answer.message_id]!r} of {answer}")
        return found

    def _streamed(self) -> dict[str, str]:
        """What its chunks say, by message; a whole message stands by itself."""
        texts: dict[str, str] = {}
        for part in self.parts:
            if part.event == "messages":
                message: Any = part.data[0]  # pyright: ignore[reportArgumentType] - the SDK says it is an object
                grows = message["type"] == "AIMessageChunk"
                texts[message["id"]] = (texts.get(message["id"], "") if grows else "") + str(message["content"])
        return texts


def _said(frame: Frame) -> tuple[str, Any]:
    return frame["event_id"], frame["params"]["data"]


@dataclass
class Readers:
    """The four of a case."""

    client: Stack
    thread_id: str = ""
    sockets: dict[str, SocketReader] = field(default_factory=dict[str, SocketReader])
    stream: StreamReader | None = None

    async def begin(self, thread_id: str) -> None:
        """Those that watch from before the run."""
        self.thread_id = thread_id
        for name in ("before", "again"):
            self._connect(name)
        await self._are_there()

    async def at_point(self) -> None:
        """The run waits at its point: one is cut off, one comes."""
        self.sockets["again"].cut_off()
        await self.join("window")

    async def join(self, name: str) -> None:
        """One more, from now on."""
        self._connect(name)
        await self._are_there()

    def come_back(self) -> None:
        """Who was cut off comes back."""
        for reader in self.sockets.values():
            reader.come_back()

    def follow(self, sdk: LangGraphClient, run_id: str) -> None:
        """Follow the run over HTTP."""
        self.stream = StreamReader("stream", sdk, thread_id=self.thread_id, run_id=run_id)

    def know(self, last_seq: int) -> bool:
        """Whether all of them know everything up to a number, and the run's end."""
        ended = self.stream is None or self.stream.ended.is_set()
        return ended and all(reader.knows(last_seq) for reader in self.sockets.values())

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.sockets) + (self.stream is not None)

    def judged(self, *, last_seq: int, log: Sequence[Frame], answers: Sequence[Answer]) -> Iterable[str]:
        """What is wrong with what they know."""
        for reader in self.sockets.values():
            yield from reader.judged(last_seq=last_seq, log=log, answers=answers)
        if self.stream is not None:
            yield from self.stream.judged(answers=answers)

    async def close(self) -> None:
        """End them."""
        streams = [self.stream] if self.stream is not None else []
        await asyncio.gather(*(reader.close() for reader in (*self.sockets.values(), *streams)))

    def _connect(self, name: str) -> None:
        self.sockets[name] = SocketReader(name, self.client, self.thread_id)

    async def _are_there(self) -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*(reader.subscribed.wait() for reader in self.sockets.values()))
