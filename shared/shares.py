"""What a process has for all, in shares: so many places for each account, so that who waits, waits for his own."""

import asyncio
from weakref import WeakValueDictionary


class Shares:
    """``places`` at once for each account, or whatever else they are shared among."""

    def __init__(self, places: int) -> None:
        self._places = places
        # Forgotten when nobody holds or awaits a place: those whom a process has served are many.
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, whose: str) -> asyncio.Semaphore:
        """The share. Whoever has a place of it keeps hold of the share, too."""
        share = self._shares.get(whose)
        if share is None:
            share = self._shares[whose] = asyncio.Semaphore(self._places)
        return share
