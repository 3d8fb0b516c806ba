"""Posting to one connection: in order, from its cursor on, by one sender at a time.

Whoever holds the sender lease of a subscription posts; everybody else waits for the lease, or leaves it to the holder.
The cursor is written back every second and at the end, so that the next sender goes on where this one stopped: what it
repeats after a sender's death has the same number and id.
"""

import asyncio
import random
import time
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from uuid import uuid4

import aiohttp

from shared import events
from shared.errors import SubscriptionsUnavailableError
from shared.events import Logged, is_state
from shared.stream import connections, sender_lease, states, subscriptions
from shared.stream.audience import dismiss
from shared.stream.connections import GoneError, ThrottledError, UndeliverableError
from shared.stream.filters import wanted
from shared.stream.reading import Reading
from shared.stream.sender_lease import SENDER_LEASE_S
from shared.stream.source import Source
from shared.stream.subscriptions import Subscription
from shared.stream.tries import NotTakenError, Tries
from shared.telemetry import logger

_KEEP_S = 1.0
# Renewed when so much of the lease is left, moved cursor or not; nothing is posted with less than the margin.
_RENEW_LEFT_S = 6.0
_MARGIN_S = 2.0
# How long to wait before asking for a lease that somebody holds: he may be about to release it.
_FIRST_ASK_S = 0.05
_LONGEST_ASK_S = 1.0
# Whoever posts for so long gives others of the account a turn.
_TURN_S = 5.0


class Sender:
    """Serves one subscription from ``source`` until there is no more."""

    def __init__(self, subscription: Subscription, source: Source) -> None:
        self._subscription = subscription
        self._source = source
        self._me = uuid4().hex
        self._cursor = subscription.cursor
        self._kept_cursor: int = subscription.cursor
        self._leased_until = 0.0
        self._keeping = asyncio.Lock()
        self._changed = asyncio.Event()
        # The source has more or is closing, the cursor was moved from outside, or the lease is lost.
        self._look = asyncio.Event()
        self._seen = asyncio.Event()
        self._moves = 0
        self._lost = False
        self._gone = False
        self._reading = Reading(source)
        self._tries = Tries()
        # The gap that was told already, should what follows it have to be posted again.
        self._told_gap: tuple[int, int] | None = None

    @property
    def subscription(self) -> Subscription:
        """Whom it posts to, and what."""
        return self._subscription

    @property
    def is_others(self) -> bool:
        """Whether that is a reader of another account than the thread's."""
        return self._subscription.reader_id is not None

    def change(self, seen: Subscription) -> None:
        """The subscription was seen: if it has changed, look at it now."""
        public_until = seen.public_until
        self._subscription = replace(self._subscription, public_after=seen.public_after, public_until=public_until)
        self._seen.set()
        if seen.version != self._subscription.version:
            self._changed.set()

    def look(self) -> None:
        """The source has more, or is closing."""
        self._look.set()

    async def run(self) -> bool:
        """Post what the subscription has not got yet, as it comes.

        Returns:
            Whether nothing is left to be posted from here: it has everything, or is gone. Else the lease was lost, and
            another sender has to go on, or has begun to.

        Raises:
            SubscriptionsUnavailableError: the lease could not be taken, or the end of the subscription not be written.
        """
        if not await self._claim():
            return self._gone
        keeper = asyncio.create_task(self._keep_alive())
        try:
            while await self._send_on():
                if await self._release():
                    return True
                # It has changed at the last instant: its new filters may want what was sent already.
                if not await self._look_again():
                    return self._gone
            return self._gone
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            if not self._lost:
                await asyncio.shield(self._release())

    async def _claim(self) -> bool:
        """Wait for the lease; False if the subscription is gone."""
        wait_s = _FIRST_ASK_S
        while True:
            asked_at = time.monotonic()
            found = await self._ask()
            if found is not None:
                self._take(found)
                self._leased_until = asked_at + SENDER_LEASE_S
                return True
            found = await subscriptions.get(self._subscription)
            if found is None or found.generation not in {None, self._source.log.generation}:
                return self._end()
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
            wait_s = min(wait_s * 2, _LONGEST_ASK_S)

    def _take(self, found: Subscription) -> None:
        """Go on with the subscription as it is: from the cursor that it has, if that or what is wanted has changed.

        The cursor there may be a second behind the one here, and older events be wanted that were passed over here.
        """
        wanted_more = not set(found.filters) <= set(self._subscription.filters)
        asked = self._subscription
        self._subscription = replace(found, public_after=asked.public_after, public_until=asked.public_until)
        if wanted_more or found.cursor != self._kept_cursor or self._leased_until == 0:
            self._cursor = self._kept_cursor = found.cursor
            self._moves += 1
            self._look.set()

    async def _ask(self) -> Subscription | None:
        return await sender_lease.claim(self._subscription, sender=self._me, generation=self._source.log.generation)

    async def _send_on(self) -> bool:
        """Post events as they come; True when there will be no more, False if the subscription is not ours any more."""
        while True:
            ended, refused = None, False
            try:
                ended = await self._send_next()
            except NotTakenError:
                # To be waited for elsewhere: an error holds what was in hand.
                refused = True
            if ended is not None:
                return ended
            if refused:
                await self._tries.wait()

    async def _send_next(self) -> bool | None:
        """Wait for what comes next and post a handful of it; ``None`` if this goes on, else as :meth:`_send_on`."""
        newest = await self._newest()
        if self._lost:
            return False
        if newest is None:
            return True
        began = self._cursor
        await self._until_sure()
        # Whoever waits for a turn has nothing in hand; what is not taken, or is in doubt by then, ends it.
        async with self._turn():
            found = await self._send_some(newest)
        if found is None:
            return False
        if not found and self._cursor == began:
            # Neither at hand nor in the log yet, nor declared: what comes will tell.
            await self._look.wait()
        return None

    def _turn(self) -> AbstractAsyncContextManager[None]:
        return connections.socket(self._subscription.served_id, is_reader=self.is_others)

    async def _send_some(self, newest: int) -> bool | None:
        """Post a handful of what comes next: whether there was anything, ``None`` if the subscription is not ours."""
        if self._subscription.is_in_doubt:
            return True
        ends_at, moves = time.monotonic() + _TURN_S, self._moves
        found = await self._reading.next_after(self._cursor, newest=newest)
        if found.lost is not None and self._moves == moves:
            await self._declare(last=found.lost, newest=newest)
        # Of states one is enough, for it is told as it is now.
        states = [one.seq for one in found.events if self.is_others and is_state(one) and not self._is_hidden(one)]
        for event in found.events:
            # Also while it was read the cursor may have been moved.
            if self._moves == moves and event.seq not in states[:-1] and not await self._offer(event, newest=newest):
                return None
            if self._moves != moves:
                break
            self._cursor = event.seq
            if time.monotonic() >= ends_at or self._subscription.is_in_doubt:
                break
        return bool(found.events) or found.is_late

    async def _newest(self) -> int | None:
        """Wait for an event after the cursor, wherever that is moved meanwhile; ``None`` if there will be none."""
        while not self._lost:
            self._look.clear()
            if self._is_expiring() and not await self._announce():
                return None
            closing = self._source.closing
            if (newest := await self._source.newest_after(self._cursor)) is not None:
                return newest
            if closing:
                return None
            await self._look.wait()
        return None

    async def _declare(self, *, last: int, newest: int) -> None:
        """Tell what this connection will never get, up to ``last``, and how the thread stands instead."""
        moves, lost = self._moves, (self._cursor + 1, last)
        if self._told_gap != lost:
            gap = events.gap(first=lost[0], last=last)
            await self._post(events.unnumbered(gap, generation=self._source.log.generation, after=last))
            self._told_gap = lost
        await self._post_state(after=last, newest=newest)
        self._told_gap = None
        if self._moves == moves:
            self._cursor = last

    async def _post_state(self, *, after: int, newest: int) -> bool:
        """Tell how the thread stands, behind the number ``after``; False if the subscription is not ours any more."""
        await self._until_sure()
        log, account_id = self._source.log, self._subscription.account_id
        state = await states.state(log, account_id=account_id, after=after, newest=newest)
        return await self._post(events.unnumbered(state, generation=log.generation, after=after))

    def _is_expiring(self) -> bool:
        announce_at = self._subscription.announce_at
        return announce_at is not None and time.time() >= announce_at

    async def _announce(self) -> bool:
        """Tell that the connection ends soon; False if the subscription is gone or not ours any more."""
        found = self._subscription
        event = events.connection_expiring(found.expires_at)
        frame = events.unnumbered(event, generation=self._source.log.generation, after=self._cursor)
        async with self._turn():
            if not await self._post(frame):
                return False
        self._subscription = replace(self._subscription, announce_at=None)
        try:
            await sender_lease.note_announced(found, sender=self._me)
        except SubscriptionsUnavailableError:
            # It is posted. To begin anew because of this would be to tell it again, and again.
            logger.warning("it could not be noted that a connection's end was announced", exc_info=True)
        return True

    def _is_hidden(self, event: Logged) -> bool:
        """Whether it is none for a reader of another account."""
        return event.seq <= self._subscription.public_after or (event.is_private and self.is_others)

    async def _offer(self, event: Logged, *, newest: int) -> bool:
        """Post the event if it is wanted; False if the subscription is not ours any more."""
        if self._is_hidden(event) or not wanted(self._subscription.filters, event):
            return not self._lost
        if self.is_others and is_state(event):
            # As it was then it may hold what has been hidden since.
            return await self._post_state(after=event.seq, newest=newest)
        return await self._post(f'{event.frame[:-1]},"prev_seq":{self._cursor}}}')

    async def _post(self, frame: str) -> bool:
        """Post one frame, in a turn; False if the subscription is gone or not ours any more.

        Raises:
            NotTakenError: it was not taken, and the connection is not given up yet.
        """
        began_at = time.monotonic()
        try:
            if not await self._may_post():
                return False
            began_at = time.monotonic()
            await connections.post(self._subscription.connection_id, frame)
        except GoneError:
            await subscriptions.delete_connection(self._subscription.connection_id)
            await subscriptions.delete(self._subscription)
            return self._end()
        except UndeliverableError:
            logger.exception("a connection is given up: it cannot be posted to")
            return await self._give_up()
        except (ThrottledError, aiohttp.ClientError, TimeoutError) as error:
            if self._tries.failed(error, began_at=began_at):
                return await self._give_up()
            raise NotTakenError from error
        self._tries.taken()
        return True

    async def _may_post(self) -> bool:
        """Whether the subscription is ours and not over, asked just before something is posted."""
        await self._until_sure()
        if time.monotonic() > self._leased_until - _MARGIN_S:
            await self._keep()
        return await self._give_up() if self._subscription.is_over else not self._lost

    async def _give_up(self) -> bool:
        """End the connection: its client connects again if it is there, and may."""
        await dismiss(self._subscription)
        return self._end()

    async def _until_sure(self) -> None:
        """Wait until whoever asks PostgreSQL has said that the thread is public still, where that was asked long ago.

        A reader that may see it no more is in no audience; its sender is cancelled.
        """
        while self._subscription.is_in_doubt and not self._lost:
            self._seen.clear()
            await self._seen.wait()

    async def _keep_alive(self) -> None:
        """Write the cursor back and renew the lease, and heed changes."""
        while not self._lost:
            with suppress(TimeoutError):
                async with asyncio.timeout(_KEEP_S):
                    await self._changed.wait()
            if self._is_expiring():
                self._look.set()
            if (
                self._changed.is_set()
                or self._cursor != self._kept_cursor
                or time.monotonic() > self._leased_until - _RENEW_LEFT_S
            ):
                self._changed.clear()
                await self._keep()

    async def _keep(self) -> None:
        async with self._keeping:
            asked_at, cursor = time.monotonic(), self._cursor
            try:
                if await sender_lease.keep(self._subscription, sender=self._me, cursor=cursor):
                    self._kept_cursor = cursor
                    self._leased_until = asked_at + SENDER_LEASE_S
                else:
                    await self._look_again()
            except SubscriptionsUnavailableError:
                logger.warning("a sender's lease could not be renewed", exc_info=True)
                if time.monotonic() > self._leased_until:
                    self._lose()

    async def _look_again(self) -> bool:
        """The subscription has changed or is not ours; whether it still is."""
        asked_at = time.monotonic()
        found = await self._ask()
        if found is None:
            self._lose()
            return False
        self._take(found)
        self._leased_until = asked_at + SENDER_LEASE_S
        return True

    def _end(self) -> bool:
        """There is nobody to post to (any more); False, as who posts is told."""
        self._gone = True
        self._lose()
        return False

    def _lose(self) -> None:
        self._lost = True
        self._look.set()
        self._seen.set()

    async def _release(self) -> bool:
        """End the lease; False if the subscription has changed meanwhile."""
        try:
            async with self._keeping:
                released = await sender_lease.release(self._subscription, sender=self._me, cursor=self._cursor)
        except SubscriptionsUnavailableError:
            logger.warning("a sender's lease could not be released; it ends by itself", exc_info=True)
            released = True
        self._lost = self._lost or released
        return released
