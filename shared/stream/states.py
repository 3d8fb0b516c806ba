"""How a thread stands, for those who are told: one snapshot for all who ask for it within two seconds.

A snapshot may have megabytes, and those who ask may be many, and strangers: an account's take one connection to
PostgreSQL at a time, of the few that the runs of a process share.
"""

import time
from dataclasses import dataclass
from uuid import UUID

from shared import events
from shared.domain import ThreadLog
from shared.errors import DatabaseUnavailableError
from shared.events import Event
from shared.shares import Shares
from shared.stream.snapshot import snapshot
from shared.telemetry import logger

# By the wall's clock: that of an environment that is frozen between two calls goes on.
KEPT_S = 2.0
_OF_ACCOUNT = Shares(1)


@dataclass(frozen=True)
class _Kept:
    """``holds``: the newest number that was given when it was asked for: it holds what came before that."""

    state: Event
    holds: int
    asked_at: float

    def serves(self, after: int) -> bool:
        """Whether it may be told behind this number."""
        return self.holds >= after and 0 <= time.time() - self.asked_at < KEPT_S


# By generation.
_kept: dict[UUID, _Kept] = {}


async def state(log: ThreadLog, *, account_id: str, after: int, newest: int) -> Event:
    """How the account's thread stands, to be told behind the number ``after``; by reference if nobody knows.

    ``newest``: a number that has been given, ``after`` or a later one. What is committed before a number is given is in
    every snapshot that is asked for when the number is known; so is what ``after`` stands for in one that was asked
    for with a later ``newest``, and in no other that is kept.
    """
    async with _OF_ACCOUNT.of(account_id):
        found = _kept.get(log.generation)
        if found is None or not found.serves(after):
            found = await _asked(log, account_id=account_id, holds=max(after, newest))
            for generation in [one for one, kept in _kept.items() if not kept.serves(0)]:
                del _kept[generation]
            _kept[log.generation] = found
        return found.state


async def _asked(log: ThreadLog, *, account_id: str, holds: int) -> _Kept:
    asked_at = time.time()
    try:
        messages = await snapshot(thread_id=log.thread_id, account_id=account_id)
    except DatabaseUnavailableError:
        logger.warning("how a thread stands could not be read", exc_info=True)
        # Whoever waits for the same need not wait for as long again.
        return _Kept(events.values(log.thread_id, None), holds=holds, asked_at=time.time())
    return _Kept(events.values(log.thread_id, messages), holds=holds, asked_at=asked_at)
