"""What stands in for the servers in tests of the publisher: a log in memory, a loop whose clock is put forward."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from shared.domain import Json
from shared.stream import log
from shared.stream.events import Logged

# More turns than any of the publisher's tasks needs to come to rest.
_TURNS = 50


class LoopClock:
    """The running loop's time, which passes only when :meth:`advance` says so."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time()

    async def advance(self, seconds: float = 0.0) -> None:
        """Let time pass, then let every task that can run do so."""
        self._now += seconds
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def time(self) -> float:
        """The loop's time."""
        return self._now


@contextmanager
def stopped_clock() -> Iterator[LoopClock]:
    """The running loop with its clock stopped."""
    loop: Any = asyncio.get_running_loop()
    clock = LoopClock()
    loop.time = clock.time
    try:
        yield clock
    finally:
        del loop.time


class MemoryLog:
    """The log's ``append`` in memory, and the delivery behind it.

    ``answers``: what the next appends answer (then "ok"); an exception is raised. ``open``: cleared, appends wait.
    """

    def __init__(self) -> None:
        self.logged: list[Logged] = []
        self.delivered: list[Logged] = []
        self.calls: list[dict[str, Any]] = []
        self.answers: list[log.Answer | Exception] = []
        self.open = asyncio.Event()
        self.open.set()

    async def append(
        self, thread_id: UUID, events: Sequence[Logged], *, epoch: int, expected_seq: int, init: bool = False
    ) -> log.Answer:
        """As :func:`shared.stream.log.append`."""
        await self.open.wait()
        self.calls.append({"thread_id": thread_id, "epoch": epoch, "expected_seq": expected_seq, "init": init})
        answer = self.answers.pop(0) if self.answers else "ok"
        if isinstance(answer, Exception):
            raise answer
        if answer == "ok":
            self.logged += events
        return answer

    async def offer(self, events: Sequence[Logged]) -> None:
        """As ``Delivery.offer``."""
        self.delivered += events


class Reservations:
    """``reserve_seq``: blocks of ``size`` numbers after ``reserved``."""

    def __init__(self, *, reserved: int, size: int) -> None:
        self._reserved = reserved
        self._size = size
        self.made = 0
        self.failure: Exception | None = None

    async def __call__(self, _claim: object) -> int:
        if self.failure is not None:
            raise self.failure
        self.made += 1
        self._reserved += self._size
        return self._reserved


type ReserveSeq = Callable[[object], Awaitable[int]]


def text_by_block(data: Sequence[Json]) -> dict[int, str]:
    """The text of all deltas, by block."""
    found: dict[int, str] = {}
    for event in data:
        if event.get("event") == "content-block-delta":
            delta = event["delta"]
            found[event["index"]] = found.get(event["index"], "") + (delta.get("text") or delta.get("reasoning"))
    return found
