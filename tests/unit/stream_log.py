"""What stands in for the servers in tests of the publisher: a log in memory, a loop whose clock is put forward."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shared import events as stream_events
from shared.database import facts
from shared.database.facts import Fact
from shared.domain import Json, LogHold, ThreadLog
from shared.events import Event, Logged
from shared.stream import appender, log
from shared.stream.log import Appended

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
    """Redis, as far as the log needs it (``append.lua`` in memory), the facts' table, and the delivery behind them.

    ``failures``: what the next appends raise; those under ``after`` have been applied. ``open``: cleared, appends wait.
    """

    def __init__(self) -> None:
        self.logged: list[Logged] = []
        self.delivered: list[Logged] = []
        self.calls: list[dict[str, Any]] = []
        self.failures: list[Exception] = []
        self.after: list[Exception] = []
        self.fence: int | None = None
        self.newest_epoch: int | None = None
        self.waiting: list[Event] = []
        self.noted: list[int] = []
        self.open = asyncio.Event()
        self.open.set()

    def patch(self, monkeypatch: Any) -> None:
        """Stand in for Redis and PostgreSQL."""
        monkeypatch.setattr(log, "append", self.append)
        monkeypatch.setattr(log, "read_back", self.read_back)
        monkeypatch.setattr(facts, "take", self.take)
        monkeypatch.setattr(facts, "note_logged", self.note_logged)
        monkeypatch.setattr(appender, "snapshot", self.snapshot)

    @property
    def last_seq(self) -> int:
        """The number that the log ends with."""
        return self.logged[-1].seq if self.logged else 0

    def lose(self, count: int | None = None) -> None:
        """Lose the last ``count`` entries, or everything with the fence."""
        if count is None:
            self.logged.clear()
            self.fence = None
        else:
            del self.logged[-count:]

    async def append(
        self, hold: LogHold, events: Sequence[Logged], *, expected_seq: int, proved: bool = False
    ) -> Appended:
        """As :func:`shared.stream.log.append`."""
        await self.open.wait()
        self.calls.append(
            {"thread_id": hold.thread_id, "epoch": hold.epoch, "expected_seq": expected_seq, "proved": proved}
        )
        if self.failures:
            raise self.failures.pop(0)
        answer = self._append(events, epoch=hold.epoch, expected_seq=expected_seq, proved=proved)
        if self.after:
            raise self.after.pop(0)
        return Appended(answer, self.last_seq)

    def _append(self, events: Sequence[Logged], *, epoch: int, expected_seq: int, proved: bool) -> log.Answer:
        if self.fence is not None and self.fence > epoch:
            return "fenced"
        if self.fence is None or self.fence < epoch:
            if not proved:
                return "unknown"
            self.fence = epoch
        if self.last_seq >= events[-1].seq:
            return "ok"
        if self.last_seq != expected_seq:
            return "tail_lost"
        self.logged += [event for event in events if event.seq > self.last_seq]
        return "ok"

    async def read_back(self, _log: ThreadLog, *, limit: int) -> list[Logged]:
        """As :func:`shared.stream.log.read_back`."""
        return self.logged[::-1][:limit]

    async def take(self, hold: LogHold, *, last_seq: int, most: int, in_hand: Sequence[int]) -> list[Fact]:
        """As :func:`shared.database.facts.take`."""
        taken, self.waiting = self.waiting[:most], self.waiting[most:]
        return [
            Fact(
                event_no=last_seq + place,
                logged=stream_events.number(event, generation=hold.generation, seq=last_seq + place),
            )
            for place, event in enumerate(taken, 1)
        ]

    async def note_logged(self, event_nos: Sequence[int]) -> None:
        """As :func:`shared.database.facts.note_logged`."""
        self.noted += event_nos

    async def snapshot(self, **_: Any) -> list[Json]:
        """As :func:`shared.stream.snapshot.snapshot`."""
        return [{"type": "human", "content": "from the database", "id": "1"}]

    async def prove(self, hold: LogHold) -> bool:
        """Whether the hold has the newest epoch."""
        return self.newest_epoch is None or self.newest_epoch == hold.epoch

    async def offer(self, events: Sequence[Logged]) -> None:
        """As ``Delivery.offer``."""
        self.delivered += events


class Reservations:
    """``reserve``: blocks of ``size`` numbers after ``reserved``."""

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
