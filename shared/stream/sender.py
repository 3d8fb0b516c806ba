"""Posting to one connection: in order, from its cursor on, by one sender at a time.

Whoever holds the sender lease of a subscription posts; everybody else waits for the lease, or leaves it to the holder.
The cursor is written back every second and at the end, so that the next sender goes on where this one stopped: what it
repeats after a sender's death has the same number and id.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import aiohttp

from shared import events
from shared.database import facts
from shared.errors import DatabaseUnavailableError, EventLogUnavailableError, SubscriptionsUnavailableError
from shared.events import Logged, is_state
from shared.stream import connections, log, sender_lease, subscriptions
from shared.stream.audience import dismiss
from shared.stream.connections import GoneError, ThrottledError, UndeliverableError
from shared.stream.filters import wanted
from shared.stream.sender_lease import SENDER_LEASE_S
from shared.stream.snapshot import snapshot
from shared.stream.source import Source
from shared.stream.subscriptions import Subscription
from shared.telemetry import logger

_KEEP_S = 1.0
# Renewed when so much of the lease is left, moved cursor or not; nothing is posted with less than the margin.
_RENEW_LEFT_S = 6.0
_MARGIN_S = 2.0
# How long to wait before asking for a lease that somebody holds: he may be about to release it.
_FIRST_ASK_S = 0.05
_LONGEST_ASK_S = 1.0
_READ_EVENTS = 200
_LOG_AWAY_S = 0.5
# A log that stays away for longer is taken for lost: what it has is declared, and nobody waits in silence.
_LOG_PATIENCE_S = 5.0
_BACKOFF_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
# A client that has taken nothing for so long is not slow, but dead: it would hold a sender for as long as that lives,
# and the next one after it. One that is alive connects again, and goes on from what it has.
_PATIENCE_S = 30.0


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
        self._log_away_since: float | None = None

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
            newest = await self._newest()
            if self._lost:
                return False
            if newest is None:
                return True
            began, moves = self._cursor, self._moves
            try:
                found = await self._after(newest)
            except EventLogUnavailableError:
                logger.warning("the event log could not be read", exc_info=True)
                if self._waits_for_log():
                    await asyncio.sleep(_LOG_AWAY_S)
                    continue
                found = await self._without_log(newest)
            for event in found:
                # Also while it was read the cursor may have been moved.
                if self._moves == moves and not await self._offer(event):
                    return False
                if self._moves != moves:
                    break
                self._cursor = event.seq
            else:
                if not found and self._cursor == began:
                    # Neither at hand nor in the log yet, nor declared: what comes will tell.
                    await self._look.wait()

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

    async def _after(self, newest: int) -> Sequence[Logged]:
        """The next events after the cursor; what the log has lost of them is declared first."""
        if self._source.reaches(self._cursor):
            return self._source.tail_after(self._cursor)
        after = self._cursor
        found = await log.read(self._source.log, after_seq=after, limit=_READ_EVENTS)
        self._log_away_since = None
        if found and found[0].seq == after + 1:
            return found
        first = await log.first_seq(self._source.log)
        if self._cursor != after:
            return []
        # Numbers that are missing inside the log are declared by the log itself, those before it are not; nor are those
        # behind it, if nothing more is appended, or cannot be.
        if first is None or first > self._cursor + 1:
            return await self._without_log(newest, first)
        if not found and (self._source.closing or self._source.tail_after(self._cursor)):
            return await self._without_log(newest)
        return found

    async def _without_log(self, newest: int, first: int | None = None) -> Sequence[Logged]:
        """What comes next where the log has nothing before ``first``, or nothing more: facts, which are the database's,
        else what is at hand. What is missing before it is declared.

        Raises DatabaseUnavailableError: then nobody knows what can be declared.
        """
        after = self._cursor
        at_hand = self._source.tail_after(after)
        begins = first or (at_hand[0].seq if at_hand else newest + 1)
        if begins == after + 1:
            return at_hand
        found = await facts.at_hand(self._source.log, after=after, before=begins, most=_READ_EVENTS)
        begins = found[0].seq if found else begins
        if begins > after + 1 and self._cursor == after:
            await self._declare(first=after + 1, last=begins - 1)
        return found

    def _waits_for_log(self) -> bool:
        """Whether a log that is away is waited for still."""
        self._log_away_since = self._log_away_since or time.monotonic()
        return time.monotonic() < self._log_away_since + _LOG_PATIENCE_S

    async def _declare(self, *, first: int, last: int) -> None:
        """Tell what this connection will never get, and how the thread stands instead. These have no number."""
        moves = self._moves
        gap = events.gap(first=first, last=last)
        await self._post(events.unnumbered(gap, generation=self._source.log.generation, after=last))
        await self._until_sure()
        await self._post(await self._state(after=last))
        if self._moves == moves:
            self._cursor = last

    async def _state(self, *, after: int) -> str:
        """How the thread stands, behind the number ``after``."""
        found = self._subscription
        try:
            messages = await snapshot(thread_id=found.thread_id, account_id=found.account_id)
        except DatabaseUnavailableError:
            messages = None
        state = events.values(found.thread_id, messages)
        return events.unnumbered(state, generation=self._source.log.generation, after=after)

    def _is_expiring(self) -> bool:
        announce_at = self._subscription.announce_at
        return announce_at is not None and time.time() >= announce_at

    async def _announce(self) -> bool:
        """Tell that the connection ends soon; False if the subscription is gone or not ours any more."""
        found = self._subscription
        event = events.connection_expiring(found.expires_at)
        frame = events.unnumbered(event, generation=self._source.log.generation, after=self._cursor)
        if not await self._post(frame):
            return False
        self._subscription = replace(self._subscription, announce_at=None)
        try:
            await sender_lease.note_announced(found, sender=self._me)
        except SubscriptionsUnavailableError:
            # It is posted. To begin anew because of this would be to tell it again, and again.
            logger.warning("it could not be noted that a connection's end was announced", exc_info=True)
        return True

    async def _offer(self, event: Logged) -> bool:
        """Post the event if it is wanted; False if the subscription is not ours any more."""
        hidden = event.seq <= self._subscription.public_after or (event.is_private and self.is_others)
        if hidden or not wanted(self._subscription.filters, event):
            return not self._lost
        if self.is_others and is_state(event):
            # As it was then it may hold what has been hidden since.
            await self._until_sure()
            return await self._post(await self._state(after=event.seq))
        return await self._post(f'{event.frame[:-1]},"prev_seq":{self._cursor}}}')

    async def _post(self, frame: str) -> bool:
        """Post one frame, however often that takes; False if the subscription is gone or not ours any more."""
        tries = 0
        took_nothing_since: float | None = None
        while True:
            began_at = time.monotonic()
            try:
                async with connections.socket(self._subscription.served_id, is_reader=self.is_others):
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
                if isinstance(error, ThrottledError | TimeoutError):
                    took_nothing_since = took_nothing_since or began_at
                    if time.monotonic() >= took_nothing_since + _PATIENCE_S:
                        logger.warning("a connection is given up: it takes nothing", exc_info=True)
                        return await self._give_up()
                longest = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]
                if tries == len(_BACKOFF_S):
                    logger.warning("a subscriber cannot be reached", exc_info=True)
                tries += 1
                await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter
            else:
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
