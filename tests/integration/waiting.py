"""Waiting for a state, never for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable

# A bound, and no goal: where the machine has much else to do, a function takes ten seconds to start.
TIMEOUT_S = 30.0
_POLL_S = 0.01


async def until[T](look: Callable[[], Awaitable[T] | T], *, timeout_s: float = TIMEOUT_S) -> T:
    """Look until what is seen is true, and return it; fail with the last sight."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if isawaitable(seen):
            seen = await seen
        if seen:
            return seen  # type: ignore[return-value]
        assert time.monotonic() < deadline, f"not within {timeout_s} s; last seen: {seen!r}"
        await asyncio.sleep(_POLL_S)
