"""Posting again what a connection has not taken, and giving up one that takes nothing for long."""

import asyncio
import random
import time

from shared.stream.connections import ThrottledError
from shared.telemetry import logger

_BACKOFF_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
# A client that has taken nothing for so long is not slow, but dead: it would hold a sender for as long as that lives,
# and the next one after it. One that is alive connects again, and goes on from what it has.
_PATIENCE_S = 30.0


class NotTakenError(Exception):
    """Something was not taken, and is to be posted again."""


class Tries:
    """Of one connection, those in a row that failed."""

    def __init__(self) -> None:
        self._failed = 0
        self._took_nothing_since: float | None = None

    def taken(self) -> None:
        """It has taken something."""
        self._failed, self._took_nothing_since = 0, None

    def failed(self, error: Exception, *, began_at: float) -> bool:
        """A post that began then (``time.monotonic``) has failed; whether the connection is to be given up."""
        if isinstance(error, ThrottledError | TimeoutError):
            self._took_nothing_since = self._took_nothing_since or began_at
            if time.monotonic() >= self._took_nothing_since + _PATIENCE_S:
                logger.warning("a connection is given up: it takes nothing", exc_info=error)
                return True
        if self._failed == len(_BACKOFF_S):
            logger.warning("a subscriber cannot be reached", exc_info=error)
        self._failed += 1
        return False

    async def wait(self) -> None:
        """Wait before the next one."""
        longest = _BACKOFF_S[min(self._failed, len(_BACKOFF_S)) - 1]
        await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter
