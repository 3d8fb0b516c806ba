"""Waiting: a request that does it holds an environment of the function that all accounts share, so an account's plan
says how many may at a time.

Nothing of the HTTP function sleeps or waits but through :meth:`Wait.hold`, which a request has only while it holds one
of its account's places (``tests/unit/test_waits.py`` reads the source). A process that is killed leaves its place to
its time.
"""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager

from shared.database import connection, waits
from shared.errors import DatabaseUnavailableError
from shared.telemetry import logger

# What a request does besides its longest wait. It ends after 29 s, whatever it does.
_MARGIN_S = 5.0


class Wait:
    """Leave to wait; it ends with the block that it was given to."""

    def __init__(self) -> None:
        self._over = False

    async def hold[T](self, lasting: Awaitable[T]) -> T:
        """Wait for it."""
        assert not self._over, "whoever waits holds a place"  # noqa: S101
        return await lasting

    def end(self) -> None:
        """The place is given back."""
        self._over = True


@asynccontextmanager
async def waiting(account_id: str, *, longest_s: float) -> AsyncGenerator[Wait]:
    """Hold one of the account's places; whoever starts something and waits for it takes the place first.

    Raises:
        TooManyWaitsError: as many requests of the account wait as its plan allows.
        DatabaseUnavailableError: PostgreSQL is away; who waits asks it all the time.
    """
    async with connection() as taken:
        place = await waits.take(taken, account_id=account_id, for_s=longest_s + _MARGIN_S)
    wait = Wait()
    try:
        yield wait
    finally:
        wait.end()
        try:
            async with connection() as taken:
                await waits.give_back(taken, place)
        except DatabaseUnavailableError:
            logger.warning("a place could not be given back: it is free when its time is over", exc_info=True)
