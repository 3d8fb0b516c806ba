"""What comes next for a subscriber: from what is at hand, from the log, or, of what that has lost, from the database.

Little is read at a time: a process has as many subscribers in hand as connections that may be deaf.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from shared.database import facts
from shared.errors import EventLogUnavailableError
from shared.events import Logged
from shared.stream import log
from shared.stream.source import Source
from shared.telemetry import logger

# The largest event fills it.
HAND_BYTES = 65_536
HAND_EVENTS = 200
# Of facts that the log does not have, which are rare.
_HAND_FACTS = 20
_LOG_AWAY_S = 0.5
# A log that stays away for longer is taken for lost: what it has is declared, and nobody waits in silence.
_LOG_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Next:
    """``events``, in order; ``lost``: the last of the numbers before them that there is nothing of any more.

    ``is_late``: neither is known, for the log is away.
    """

    events: Sequence[Logged] = ()
    lost: int | None = None
    is_late: bool = False


def handful(events: Sequence[Logged]) -> Sequence[Logged]:
    """The first of them, at least one, whose frames have no more than ``HAND_BYTES`` characters together."""
    size = 0
    for place, event in enumerate(events[:HAND_EVENTS]):
        size += len(event.frame)
        if place and size > HAND_BYTES:
            return events[:place]
    return events[:HAND_EVENTS]


class Reading:
    """Of one subscriber, from ``source``."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._log_away_since: float | None = None

    async def next_after(self, cursor: int, *, newest: int) -> Next:
        """A handful of the events after ``cursor``, of which ``newest`` is the last; nothing if they are still to come.

        Raises DatabaseUnavailableError: the log has lost some, and nobody knows what can be told of them.
        """
        if self._source.reaches(cursor):
            return Next(handful(self._source.tail_after(cursor)))
        try:
            return await self._logged(cursor, newest)
        except EventLogUnavailableError:
            logger.warning("the event log could not be read", exc_info=True)
            if self._waits_for_log():
                await asyncio.sleep(_LOG_AWAY_S)
                return Next(is_late=True)
            return await self._without_log(cursor, newest)

    async def _logged(self, cursor: int, newest: int) -> Next:
        found = await log.read_some(self._source.log, after_seq=cursor, limit=HAND_EVENTS, most_bytes=HAND_BYTES)
        self._log_away_since = None
        if found and found[0].seq == cursor + 1:
            return Next(found)
        first = await log.first_seq(self._source.log)
        # Numbers that are missing inside the log are declared by the log itself, those before it are not; nor are those
        # behind it, if nothing more is appended, or cannot be.
        if first is None or first > cursor + 1:
            return await self._without_log(cursor, newest, first)
        if not found and (self._source.closing or self._source.tail_after(cursor)):
            return await self._without_log(cursor, newest)
        return Next(found)

    async def _without_log(self, after: int, newest: int, first: int | None = None) -> Next:
        """What comes next where the log has nothing before ``first``, or nothing more: facts, which are the database's,
        else what is at hand.
        """
        at_hand = self._source.tail_after(after)
        begins = first or (at_hand[0].seq if at_hand else newest + 1)
        if begins == after + 1:
            return Next(handful(at_hand))
        found = await facts.at_hand(self._source.log, after=after, before=begins, most=_HAND_FACTS)
        begins = found[0].seq if found else begins
        return Next(handful(found), lost=begins - 1 if begins > after + 1 else None)

    def _waits_for_log(self) -> bool:
        """Whether a log that is away is waited for still."""
        self._log_away_since = self._log_away_since or time.monotonic()
        return time.monotonic() < self._log_away_since + _LOG_PATIENCE_S
