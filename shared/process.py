"""One event loop a process, owned here.

Clients of PostgreSQL, Redis and AWS belong to the loop they were made on, so every handler of a process runs on the
same one. ``asyncio.run`` would close it after the first invocation and is banned in functions.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from functools import cache

from shared.settings import RuntimeSettings
from shared.telemetry import logger

# Connections that died while the environment was frozen are noticed by their transports only after the selector has
# been polled: three turns made every first request after a thaw succeed, none at all half of them.
_TURNS_AFTER_THAW = 3


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    """The process's loop, also set as the current one: Mangum asks for that."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


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


def run[T](coroutine: Coroutine[None, None, T]) -> T:
    """Run ``coroutine`` to its end on the process's loop. One call is one invocation of the function."""

    async def invocation() -> T:
        await thaw()
        return await coroutine

    return event_loop().run_until_complete(invocation())
