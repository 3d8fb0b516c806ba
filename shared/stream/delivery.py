"""Delivery while a run is being executed: the executor posts to its thread's subscribers.

A sender a connection, each at its own pace: a slow client lags behind and slows nobody. Events come from the tail that
the publisher keeps here, or from the log for who is further behind.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile

from shared.domain import LogHold, ThreadLog
from shared.events import Logged
from shared.stream.audience import READERS_S, other_audience, own_audience
from shared.stream.sender import Sender
from shared.stream.subscriptions import Subscription
from shared.telemetry import logger

REFRESH_S = 2.0
TAIL_EVENTS = 2000


class Delivery:
    """Delivers a thread's events to its subscribers while a run of it is being executed."""

    def __init__(self, hold: LogHold) -> None:
        self.log: ThreadLog = hold
        self._account_id = hold.account_id
        self._last_seq = hold.last_seq
        self._tail: deque[Logged] = deque(maxlen=TAIL_EVENTS)
        self._closing = False
        # By connection.
        self._senders: dict[str, tuple[Sender, asyncio.Task[bool]]] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._look = asyncio.Event()

    def start(self) -> None:
        """Read the subscriptions now, and again every two seconds."""
        self._refreshing = asyncio.create_task(self._keep_refreshing())

    def refresh_soon(self) -> None:
        """A subscription has changed: look at them now."""
        self._look.set()

    async def offer(self, events: Sequence[Logged]) -> None:
        """Have events delivered that were just appended to the log. Returns at once."""
        self._tail.extend(events)
        self._last_seq = events[-1].seq
        self._have_looked()

    async def close(self, *, timeout_s: float) -> bool:
        """Look for subscriptions once more, and wait until every one has everything, but not for longer than this; for
        readers of other accounts no longer than ``READERS_S``.

        Returns:
            Whether every one has; else another sender has to go on.
        """
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await self._refreshing
        read = False
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                read = await self._refresh()
        self._closing = True
        self._have_looked()
        own = [task for sender, task in self._senders.values() if not sender.is_others]
        others = [task for sender, task in self._senders.values() if sender.is_others]
        late = sum(
            await asyncio.gather(_end(own, timeout_s=timeout_s), _end(others, timeout_s=min(timeout_s, READERS_S)))
        )
        if late:
            logger.warning("subscribers lag behind the end of the run", extra={"subscribers": late})
        return read and not late and all(_served(task) for task in (*own, *others))

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

    async def _keep_refreshing(self) -> None:
        while True:
            await self._refresh()
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._look.wait()
            self._look.clear()

    async def _refresh(self) -> bool:
        """See to it that every subscription has a sender; False if they could not be read.

        The thread's own come first, and whatever becomes of the others.
        """
        try:
            found = await own_audience(self.log, account_id=self._account_id)
            self._see_to(found)
            others = await other_audience(self.log, account_id=self._account_id)
        except Exception:
            # Nobody is lost by a late look: what they miss is in the log.
            logger.warning("subscriptions could not be read", exc_info=True)
            return False
        self._see_to(others)
        for gone in self._senders.keys() - {subscription.connection_id for subscription in (*found, *others)}:
            self._senders.pop(gone)[1].cancel()
        return True

    def _see_to(self, found: Sequence[Subscription]) -> None:
        for subscription in found:
            known = self._senders.get(subscription.connection_id)
            if known is None or known[1].done():
                sender = Sender(subscription, self)
                self._senders[subscription.connection_id] = (sender, asyncio.create_task(sender.run()))
            else:
                known[0].change(subscription)


async def _end(tasks: Sequence[asyncio.Task[bool]], *, timeout_s: float) -> int:
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
