"""Delivery while a run is being executed: the executor posts to its thread's subscribers.

A sender a connection, each at its own pace: a slow client lags behind and slows nobody. Events come from the tail that
the publisher keeps here, or from the log for who is further behind.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import takewhile

from shared.domain import LogHold, ThreadLog
from shared.events import Logged
from shared.stream.audience import READERS_S, other_audience, own_audience
from shared.stream.sender import Sender
from shared.stream.subscriptions import Subscription
from shared.telemetry import logger

REFRESH_S = 2.0
# Of the newest events as many as these, and no more bytes of frames: each run of a process has a tail.
TAIL_EVENTS = 2000
TAIL_BYTES = 2 * 1024 * 1024

type Audience = Callable[..., Awaitable[Sequence[Subscription]]]


class Delivery:
    """Delivers a thread's events to its subscribers while a run of it is being executed."""

    def __init__(self, hold: LogHold) -> None:
        self.log: ThreadLog = hold
        self._account_id = hold.account_id
        self._last_seq = hold.last_seq
        self._tail: deque[Logged] = deque()
        self._tail_bytes = 0
        self._closing = False
        # By connection.
        self._senders: dict[str, tuple[Sender, asyncio.Task[bool]]] = {}
        self._refreshing: list[asyncio.Task[None]] = []
        self._look_at_own, self._look_at_others = asyncio.Event(), asyncio.Event()

    def start(self) -> None:
        """Read the subscriptions now, and again every two seconds: the thread's own wait for none of the others."""
        self._refreshing = [
            asyncio.create_task(_keep_refreshing(self._refresh_own, self._look_at_own)),
            asyncio.create_task(_keep_refreshing(self._refresh_others, self._look_at_others)),
        ]

    def refresh_soon(self) -> None:
        """A subscription has changed: look at them now."""
        self._look_at_own.set()
        self._look_at_others.set()

    async def offer(self, events: Sequence[Logged]) -> None:
        """Have events delivered that were just appended to the log. Returns at once."""
        self._tail.extend(events)
        self._tail_bytes += sum(len(event.frame) for event in events)
        while len(self._tail) > TAIL_EVENTS or self._tail_bytes > TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft().frame)
        self._last_seq = events[-1].seq
        self._have_looked()

    async def close(self, *, timeout_s: float) -> bool:
        """Look for subscriptions once more, and wait until every one has everything, but not for longer than this; for
        readers of other accounts, who they are included, no longer than ``READERS_S``.

        Returns:
            Whether every one has; else another sender has to go on.
        """
        for task in self._refreshing:
            task.cancel()
        await asyncio.gather(*self._refreshing, return_exceptions=True)
        ended = await asyncio.gather(
            self._close_own(timeout_s=timeout_s), self._close_others(timeout_s=min(timeout_s, READERS_S))
        )
        return all(ended)

    async def _close_own(self, *, timeout_s: float) -> bool:
        read = await _within(timeout_s, self._refresh_own())
        self._closing = True
        self._have_looked()
        return await self._end(is_others=False, timeout_s=timeout_s) and read

    async def _close_others(self, *, timeout_s: float) -> bool:
        ends_at = time.monotonic() + timeout_s
        read = await _within(timeout_s, self._refresh_others())
        return await self._end(is_others=True, timeout_s=max(0.0, ends_at - time.monotonic())) and read

    async def _end(self, *, is_others: bool, timeout_s: float) -> bool:
        """Wait until these senders have ended, but not for longer than this; whether their subscribers lack nothing."""
        tasks = [task for sender, task in self._senders.values() if sender.is_others == is_others]
        late = await _until_ended(tasks, timeout_s=timeout_s)
        if late:
            logger.warning("subscribers lag behind the end of the run", extra={"subscribers": late})
        return not late and all(_served(task) for task in tasks)

    async def newest_after(self, cursor: int) -> int | None:
        """The newest event's number, if there is one after ``cursor`` (``Source``)."""
        return self._last_seq if self._last_seq > cursor else None

    @property
    def closing(self) -> bool:
        """Whether the execution has ended (``Source``)."""
        return self._closing

    def reaches(self, cursor: int) -> bool:
        """Whether the tail begins right after ``cursor``, or before (``Source``)."""
        return bool(self._tail) and self._tail[0].seq <= cursor + 1

    def tail_after(self, cursor: int) -> list[Logged]:
        """The events after ``cursor`` that the tail has (``Source``)."""
        # From its end: it is long, and a sender that keeps up wants the last one or two.
        newer = list(takewhile(lambda event: event.seq > cursor, reversed(self._tail)))
        newer.reverse()
        return newer

    def _have_looked(self) -> None:
        for sender, _ in self._senders.values():
            sender.look()

    async def _refresh_own(self) -> bool:
        """See to it that every subscription of the thread's account has a sender; False if they could not be read."""
        return await self._refresh(own_audience, is_others=False)

    async def _refresh_others(self) -> bool:
        """The same for those of other accounts. They may have written much: nothing else waits for this."""
        return await self._refresh(other_audience, is_others=True)

    async def _refresh(self, audience: Audience, *, is_others: bool) -> bool:
        try:
            found = await audience(self.log, account_id=self._account_id)
        except Exception:
            # Nobody is lost by a late look: what they miss is in the log.
            logger.warning("subscriptions could not be read", exc_info=True)
            return False
        for subscription in found:
            self._see_to(subscription)
        here = {subscription.connection_id for subscription in found}
        for one, (sender, task) in list(self._senders.items()):
            if sender.is_others == is_others and one not in here:
                del self._senders[one]
                task.cancel()
        return True

    def _see_to(self, found: Subscription) -> None:
        known = self._senders.get(found.connection_id)
        if known is None:
            self._send(found)
            return
        sender, task = known
        if not task.done():
            sender.change(found)
        elif not (self._closing and _served(task) and found.version == sender.subscription.version):
            # At the end senders end before all others are read, and leave nothing to be done.
            self._send(found)

    def _send(self, subscription: Subscription) -> None:
        sender = Sender(subscription, self)
        self._senders[subscription.connection_id] = (sender, asyncio.create_task(sender.run()))


async def _keep_refreshing(refresh: Callable[[], Awaitable[bool]], look: asyncio.Event) -> None:
    while True:
        await refresh()
        with suppress(TimeoutError):
            async with asyncio.timeout(REFRESH_S):
                await look.wait()
        look.clear()


async def _within(timeout_s: float, refreshing: Awaitable[bool]) -> bool:
    """What it comes to; False if it takes longer than this."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            return await refreshing
    return False


async def _until_ended(tasks: Sequence[asyncio.Task[bool]], *, timeout_s: float) -> int:
    """Wait until they have ended, but not for longer than this; returns how many were ended by that."""
    if not tasks:
        return 0
    _, late = await asyncio.wait(tasks, timeout=timeout_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return len(late)


def _served(task: asyncio.Task[bool]) -> bool:
    """Whether its subscription has everything, or is gone; one whose lease was lost may lack some."""
    return not task.cancelled() and task.exception() is None and task.result()


class NoDelivery:
    """For whoever appends while no run is executed: the sender function posts what there is then."""

    async def offer(self, events: Sequence[Logged]) -> None:
        """Leave them to it."""
