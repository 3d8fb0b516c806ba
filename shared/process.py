"""One event loop a process, owned here.

Clients of PostgreSQL, Redis and AWS belong to the loop they were made on, so every handler of a process runs on the
same one. ``asyncio.run`` would close it after the first invocation and is banned in functions.
"""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from functools import cache
from uuid import UUID, uuid4

from shared.settings import RuntimeSettings
from shared.telemetry import logger
from shared.watchdog import Watchdog

# Connections that died while the environment was frozen are noticed by their transports only after the selector has
# been polled: three turns made every first request after a thaw succeed, none at all half of them.
_TURNS_AFTER_THAW = 3
# Lambda kills a runtime 500 ms after SIGTERM, if it sends one (docs/decisions/0006).
_CLOSING_S = 0.3

_closers: list[Callable[[], Coroutine[None, None, None]]] = []


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    """The process's loop, also set as the current one: Mangum asks for that."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


@cache
def instance_id() -> UUID:
    """This process's id among those that execute runs.

    First asked for by an invocation: what is made in the init phase is the same in every copy of a snapshot.
    """
    return uuid4()


async def thaw() -> None:
    """Let the loop notice what happened to its connections while the process was frozen."""
    for _ in range(_TURNS_AFTER_THAW):
        await asyncio.sleep(0)


def at_init(connect: Callable[[], Coroutine[None, None, None]]) -> None:
    """Open, in the function's init phase, what its first invocation would otherwise wait for.

    Not under SnapStart, whose snapshot would hold connections that are long dead. What cannot be reached now is
    looked for again by the invocation that needs it, which can say so to its caller.
    """
    if RuntimeSettings().connects_at_init:
        try:
            run(connect())
        except Exception:
            logger.warning("not everything could be reached while initialising", exc_info=True)
    # What is there now stays: a full collection would look through all of it, which takes a runner the better part of
    # a second, in the middle of its streams.
    gc.freeze()


@cache
def watchdog() -> Watchdog:
    """The process's."""
    return Watchdog(event_loop())


def run_watched[T](coroutine: Coroutine[None, None, T]) -> T:
    """As :func:`run`, and a loop that stands meanwhile is noticed."""
    with watchdog().watching():
        return run(coroutine)


def run[T](coroutine: Coroutine[None, None, T]) -> T:
    """Run ``coroutine`` to its end on the process's loop. One call is one invocation of the function."""

    async def invocation() -> T:
        await thaw()
        return await coroutine

    return event_loop().run_until_complete(invocation())


def at_end(close: Callable[[], Coroutine[None, None, None]]) -> None:
    """Have ``close`` called when the process is told to end (SIGTERM) between invocations.

    It has 300 ms, with all the others at once. During an invocation the process ends at once: what that holds is given
    back by time limits of its own, as after any crash. Lambda sends the signal between invocations only, and only with
    an extension (docs/decisions/0006). Call this on the main thread, while the function initialises.
    """
    if not _closers and RuntimeSettings().aws_lambda_initialization_type:
        signal.signal(signal.SIGTERM, _end)
    _closers.append(close)


def _end(number: int, _frame: object) -> None:
    loop = event_loop()
    if loop.is_running():
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    loop.run_until_complete(_close())
    logging.shutdown()
    # The runtime waits for its next invocation on a thread, and an ordinary end would wait for that thread.
    os._exit(0)


async def _close() -> None:
    closing = [asyncio.create_task(close()) for close in _closers]
    done, late = await asyncio.wait(closing, timeout=_CLOSING_S)
    for task in done:
        if (error := task.exception()) is not None:
            logger.warning("not everything could be closed at the end", exc_info=error)
    logger.info("closed at the end", extra={"closed": len(done), "late": len(late)})
