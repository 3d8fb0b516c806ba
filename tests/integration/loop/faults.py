"""Faults at the points where an attempt touches the world: PostgreSQL, Redis, the model, a tool, a queue.

What an attempt does between two such points nobody can see, so to end it at a point is to end it anywhere.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import asyncpg
from asyncpg.transaction import Transaction

from functions.runner.budget import Budget
from shared.database.pool import ProxiedConnection
from shared.errors import EventLogUnavailableError

# Before a transaction, before and after its COMMIT; before and after an append to the log; before a call of the model
# and before each of its chunks; before and after a tool's effect; before and after a message to a queue or workflow.
type Kind = Literal[
    "begin", "commit", "committed", "append", "appended", "model", "chunk", "effect", "effected", "send"
]
type Action = Literal[
    "die",  # the process ends: nothing that it has open goes on, nothing of it is cleaned up
    "pause",  # the process sleeps: its lease ends, others take over; later it wakes up as a zombie
    "expire",  # the lease ends, and nobody has told the process
    "lose",  # the lease ends, and the keeper says so
    "stop",  # somebody asks for a stop, and the keeper says so
    "drain",  # the instance is drained: the run is to go on elsewhere
    "out_of_time",  # the function's time is over
    "low",  # ... is nearly over: no further turn may begin
    "late",  # ... is over in a minute and a bit
    "timed_out",  # the run has reached its limit
    "unavailable",  # PostgreSQL, or Redis, goes away in the middle
    "defect",  # a fault of the program's own
    "refused",  # PostgreSQL refuses what it is to keep
]

# Durations that nothing else in the loop has: the timer that is to fire now is found by them (seconds).
BUDGET_S = 200_000.0
RUN_LIMIT_S = 80_000.0

# Longer than anything here takes.
HANG_S = 10.0


_DEFECTS: dict[str, Exception] = {
    "defect": KeyError("what was said"),
    "refused": asyncpg.CharacterNotInRepertoireError("what was said"),
}


@dataclass(frozen=True)
class Fault:
    """``action`` at the ``nth`` point of a kind, counted from 0 in each attempt."""

    kind: Kind
    nth: int
    action: Action


@dataclass(eq=False)
class Attempt:
    """One executor at work, and what befalls it."""

    number: int
    agent_run_id: UUID
    faults: Sequence[Fault] = ()
    expire_lease: Callable[[], Any] | None = None
    on_lost: Callable[[], None] = lambda: None
    on_stop: Callable[[str], None] | None = None
    on_drain: Callable[[], None] = lambda: None
    dead: bool = False
    superseded: bool = False
    stop_requested: bool = False
    reached: Counter[Kind] = field(default_factory=Counter["Kind"])
    happened: list[Fault] = field(default_factory=list[Fault])
    transactions: int = 0
    skew_s: float = 0.0
    task: "asyncio.Task[Any] | None" = None
    halted: asyncio.Event = field(default_factory=asyncio.Event)
    awake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.awake.set()

    def budget(self) -> Budget:
        """The function's time, by a clock that a fault can set forward."""
        return Budget(self._clock() + BUDGET_S, BUDGET_S, reserve_s=8, clock=self._clock)

    def _clock(self) -> float:
        return time.monotonic() + self.skew_s

    @property
    def paused(self) -> bool:
        """Whether the process sleeps."""
        return not self.awake.is_set()

    def tasks(self) -> "list[asyncio.Task[Any]]":
        """Everything that this attempt has begun and that has not ended."""
        return [task for task in asyncio.all_tasks() if task.get_context().get(_ATTEMPT) is self]

    async def end(self) -> None:
        """Nothing of a dead process goes on; whatever its code would do now is refused at the next point."""
        self.dead = True
        self.awake.set()
        while tasks := self.tasks():
            for task in tasks:
                task.cancel()
            ended, left = await asyncio.wait(tasks, timeout=HANG_S)
            assert ended, f"these do not end when they are cancelled: {left}"
            for task in ended:
                if not task.cancelled():
                    task.exception()  # retrieved: nobody asks a dead process

    async def point(self, kind: Kind, connection: "FaultyConnection | None" = None) -> None:
        """A point has been reached: sleep, die, or go on."""
        nth = self.reached[kind]
        self.reached[kind] += 1
        if self.dead:
            raise asyncio.CancelledError
        for fault in self.faults:
            if (fault.kind, fault.nth) == (kind, nth):
                self.happened.append(fault)
                await self._befall(fault, connection)
        # Inside of a transaction a sleeper would hold the run's row; the database's own time limit ends that.
        if self.paused and kind != "commit":
            self.halted.set()
            await self.awake.wait()
            if self.dead:
                raise asyncio.CancelledError

    async def _befall(self, fault: Fault, connection: "FaultyConnection | None") -> None:  # noqa: PLR0912 - one an action
        match fault.action:
            case "die":
                self.dead = True
                if connection is not None:
                    connection.terminate()
                self.halted.set()
                await asyncio.Future()
            case "pause":
                self.awake.clear()
            case "expire" | "lose" if self.on_stop is not None:
                self.superseded = True
                assert self.expire_lease is not None
                await self.expire_lease()
                if fault.action == "lose":
                    self.on_lost()
            case "stop" if self.on_stop is not None:
                self.stop_requested = True
                self.on_stop("stop")
            case "drain":
                self.on_drain()
            case "low":
                self.skew_s = BUDGET_S - 30
            case "late":
                self.skew_s = BUDGET_S - 70
            case "out_of_time" | "timed_out":
                self._fire(BUDGET_S if fault.action == "out_of_time" else RUN_LIMIT_S)
            case "unavailable":
                if connection is None:
                    raise EventLogUnavailableError()
                connection.terminate()
                raise asyncpg.ConnectionDoesNotExistError("gone")
            case "defect" | "refused":
                raise _DEFECTS[fault.action]
            case _:
                pass  # a run that is not held yet cannot be stopped or lost
        # A cancellation is delivered here, if there is one.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def _fire(self, duration_s: float) -> None:
        """Have the attempt's ``asyncio.timeout`` of about ``duration_s`` expire now."""
        loop: Any = asyncio.get_running_loop()
        for handle in list(loop._scheduled):
            timeout = getattr(handle._callback, "__self__", None)
            if handle.cancelled() or not isinstance(timeout, asyncio.Timeout):
                continue
            task: Any = timeout._task  # type: ignore[attr-defined]
            near = abs(handle.when() - loop.time() - duration_s) < 1000
            if near and task.get_context().get(_ATTEMPT) is self:
                timeout.reschedule(loop.time())


_ATTEMPT: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


def current() -> Attempt | None:
    """The attempt that is at work here; ``None``: the test itself."""
    return _ATTEMPT.get()


def enter(attempt: Attempt) -> None:
    """What is begun from here on belongs to ``attempt``."""
    _ATTEMPT.set(attempt)


async def reach(kind: Kind) -> None:
    """The attempt at work, if one is, reaches a point."""
    attempt = current()
    if attempt is not None:
        await attempt.point(kind)


class FaultyConnection(ProxiedConnection):
    """A connection whose transactions are points."""

    def transaction(self, **options: Any) -> "FaultyTransaction":  # pyright: ignore[reportIncompatibleMethodOverride] - what the product uses of it
        """The transaction."""
        return FaultyTransaction(super().transaction(**options), self)


class FaultyTransaction:
    """A real transaction with points around its COMMIT."""

    def __init__(self, transaction: Transaction, connection: FaultyConnection) -> None:
        self._transaction = transaction
        self._connection = connection

    async def start(self) -> None:
        """As asyncpg's."""
        attempt = current()
        if attempt is not None:
            await attempt.point("begin", self._connection)
            attempt.transactions += 1
        try:
            await self._transaction.start()
        except BaseException:
            if attempt is not None:
                attempt.transactions -= 1
            raise

    async def commit(self) -> None:
        """As asyncpg's."""
        attempt = current()
        if attempt is None:
            await self._transaction.commit()
            return
        try:
            try:
                await attempt.point("commit", self._connection)
            except BaseException:
                await self._transaction.rollback()
                raise
            await self._transaction.commit()
        finally:
            attempt.transactions -= 1
        await attempt.point("committed", self._connection)

    async def rollback(self) -> None:
        """As asyncpg's."""
        try:
            await self._transaction.rollback()
        finally:
            if (attempt := current()) is not None:
                attempt.transactions -= 1
