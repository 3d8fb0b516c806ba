"""Delivery: each subscription of a thread gets its events in order, at its own pace.

A sender task a subscription posts one event at a time. A slow client lags behind and slows nobody; one that is gone
is forgotten. Events come from the tail that the publisher keeps here, or from the log for who is further behind.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import aiohttp

from shared.stream import connections, log, subscriptions
from shared.stream.connections import GoneError, ThrottledError
from shared.stream.events import TO_ALL, Logged
from shared.stream.subscriptions import Subscription
from shared.telemetry import logger

REFRESH_S = 2.0
TAIL_EVENTS = 2000

_READ_EVENTS = 200
_LOG_AWAY_S = 0.5
_BACKOFF_S = (0.1, 0.2, 0.4, 0.8, 1.6)


class Delivery:
    """Delivers a thread's events to its subscriptions while a run of it is being executed."""

    def __init__(self, *, thread_id: UUID, account_id: str, last_seq: int) -> None:
        """``last_seq``: the number after which this execution's events begin."""
        self._thread_id = thread_id
        self._account_id = account_id
        self._begins_after = last_seq
        self._last_seq = last_seq
        self._tail: deque[Logged] = deque(maxlen=TAIL_EVENTS)
        self._closing = False
        self._grown = asyncio.Condition()
        self._senders: dict[str, asyncio.Task[None]] = {}
        # Subscription id -> the number of the last event that was considered for it.
        self._cursors: dict[str, int] = {}
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
        async with self._grown:
            self._tail.extend(events)
            self._last_seq = events[-1].seq
            self._grown.notify_all()

    async def close(self, *, timeout_s: float) -> None:
        """Look for subscriptions once more, and wait until every one has everything, but not for longer than this."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await self._refreshing
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._refresh()
        async with self._grown:
            self._closing = True
            self._grown.notify_all()
        tasks = list(self._senders.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if late:
                logger.warning("subscribers lag behind the end of the run", extra={"subscriptions": len(late)})

    async def _keep_refreshing(self) -> None:
        while True:
            await self._refresh()
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await self._look.wait()
            self._look.clear()

    async def _refresh(self) -> None:
        try:
            found = await subscriptions.of_thread(self._thread_id, account_id=self._account_id)
        except Exception:
            # Nobody is lost by a late look: what they miss is in the log.
            logger.warning("subscriptions could not be read", exc_info=True)
            return
        for subscription in found:
            if subscription.subscription_id not in self._senders:
                task = asyncio.create_task(self._send(subscription))
                self._senders[subscription.subscription_id] = task
        for gone in self._senders.keys() - {subscription.subscription_id for subscription in found}:
            self._senders.pop(gone).cancel()

    async def _send(self, subscription: Subscription) -> None:
        """Post what the subscription has not got yet, as it comes; ends when there will be no more."""
        key = subscription.subscription_id
        since = self._begins_after if subscription.since is None else subscription.since
        cursor = self._cursors.setdefault(key, since)
        while True:
            newest = await self._newest_after(cursor)
            if newest is None:
                return
            try:
                events = await self._after(cursor)
            except log.RedisError:
                if self._closing:
                    return
                logger.warning("the event log could not be read", exc_info=True)
                await asyncio.sleep(_LOG_AWAY_S)
                continue
            for event in events:
                if event.channel == TO_ALL or event.channel in subscription.channels:
                    frame = f'{event.frame[:-1]},"prev_seq":{cursor}}}'
                    if not await self._post(subscription, frame):
                        # Looked at again by the next refresh, if it still exists then.
                        self._senders.pop(key, None)
                        return
                cursor = self._cursors[key] = event.seq
            if not events:
                # Neither here nor in the log any more: it goes on with what comes.
                cursor = self._cursors[key] = newest

    async def _newest_after(self, cursor: int) -> int | None:
        """Wait for an event after ``cursor``; the newest one's number, or ``None`` if there will be no more."""
        async with self._grown:
            await self._grown.wait_for(lambda: self._last_seq > cursor or self._closing)
            return self._last_seq if self._last_seq > cursor else None

    async def _after(self, cursor: int) -> list[Logged]:
        """The events after ``cursor``, from the tail if that reaches back so far, else from the log."""
        if not self._tail or self._tail[0].seq > cursor + 1:
            events = await log.read(self._thread_id, after_seq=cursor, limit=_READ_EVENTS)
            if events:
                return events
        return [event for event in self._tail if event.seq > cursor]

    async def _post(self, subscription: Subscription, frame: str) -> bool:
        """Post one frame; False if the subscription is not to be served any longer."""
        for wait_s in (*_BACKOFF_S, None):
            try:
                await connections.post(subscription.connection_id, frame)
            except GoneError:
                await subscriptions.delete_connection(subscription.connection_id)
                return False
            except (ThrottledError, aiohttp.ClientError, TimeoutError):
                if wait_s is None:
                    logger.warning("a subscriber could not be reached", exc_info=True)
                    return False
                await asyncio.sleep(wait_s)
            else:
                return True
        return False
