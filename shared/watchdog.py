"""Notices that the event loop stands: a call that does not give it back, of a library or of ours, holds up every run of
the process, and their leases with them. What stood is named in the log, and counted.

A thread asks the loop to turn and waits. Of the loop's thread it then tells where it is, frame by frame: files, lines
and names of functions. No values and no source are in it.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_stack
from types import FrameType

from shared.telemetry import logger

LIMIT_S = 2.0
_MOST_FRAMES = 15
# A wait that took so much longer than it should have says that this process did not run, and nothing of the loop.
_OVERSLEPT = 3.0
_LOOKS = 8


class Watchdog:
    """Watches one loop while :meth:`watching`. ``stood``: how often it has stood."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        limit_s: float = LIMIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._limit_s = limit_s
        self._clock = clock
        self._changed = threading.Condition()
        self._watching = 0
        self._thread_id = 0
        self._started = False
        self.stood = 0

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch while the block lasts, which runs the loop on this thread. A loop that is not run does not stand."""
        with self._changed:
            self._thread_id = threading.get_ident()
            self._watching += 1
            if not self._started:
                self._started = True
                threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._watching -= 1
                self._changed.notify_all()

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._watching)
            turned = threading.Event()
            try:
                self._loop.call_soon_threadsafe(turned.set)
            except RuntimeError:  # it is closed, and will not turn again
                return
            asked_at = self._clock()
            if self._waits_in_vain(turned):
                self._tell(asked_at, turned)
            with self._changed:
                # Its own turn is not waited for: it would turn for this thread all the time.
                self._changed.wait_for(lambda: not self._watching, timeout=self._limit_s / 2)

    def _waits_in_vain(self, turned: threading.Event) -> bool:
        """Whether the loop has not turned for the limit, as long as this process ran and the loop was watched."""
        look_s = self._limit_s / _LOOKS
        left = _LOOKS
        while left > 0:
            began_at = self._clock()
            if turned.wait(look_s) or not self._watching:
                return False
            left -= self._clock() - began_at < look_s * _OVERSLEPT
        return True

    def _tell(self, asked_at: float, turned: threading.Event) -> None:
        self.stood += 1
        where = _where(sys._current_frames().get(self._thread_id))  # pyright: ignore[reportPrivateUsage]
        extra = {"stack": where, "stood": self.stood, "limit_s": self._limit_s}
        logger.error("the event loop stands", extra=extra)
        while self._watching and not turned.wait(self._limit_s):
            pass
        lasted_s = round(self._clock() - asked_at, 1)
        logger.warning("the event loop turns again", extra={"stood_s": lasted_s, "stood": self.stood})


def _where(frame: FrameType | None) -> list[str]:
    """The innermost frames, the outermost of them first: ``package/module.py:12 function``."""
    found = [
        f"{'/'.join(Path(inner.f_code.co_filename).parts[-3:])}:{line} {inner.f_code.co_name}"
        for inner, line in walk_stack(frame)
    ]
    return found[:_MOST_FRAMES][::-1]
