"""What a process has for all, in shares: so many places for each account, so that who waits, waits for his own."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

_account: ContextVar[str] = ContextVar("account", default="")


@contextmanager
def on_share_of(account_id: str) -> Generator[None]:
    """Have what :class:`SharedThreads` do meanwhile be done on the account's share of them."""
    before = _account.set(account_id)
    try:
        yield
    finally:
        _account.reset(before)


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


class SharedThreads:
    """Threads for work that a tenant chooses, and that cannot be ended: the loop's own are for what is short.

    Args:
        threads: of all accounts.
        of_account: of one (:func:`on_share_of`).
        name: what the threads' names begin with.
    """

    def __init__(self, threads: int, *, of_account: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._shares = Shares(of_account)

    async def run[T](self, work: Callable[[], T]) -> T:
        """What ``work`` returns, or raises. It is the account's until its thread ends, whoever awaits it still."""
        share = self._shares.of(_account.get())
        await share.acquire()
        working = asyncio.get_running_loop().run_in_executor(self._threads, work)
        working.add_done_callback(partial(_ended, share))
        return await asyncio.shield(working)


def _ended(share: asyncio.Semaphore, working: "asyncio.Future[Any]") -> None:
    share.release()
    if not working.cancelled():
        # Heard: whoever asked may have gone.
        working.exception()
