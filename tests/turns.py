"""Whether others have their turns while something is done on the event loop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Turns:
    """How many another task has had."""

    taken: int = 0


@asynccontextmanager
async def turns() -> AsyncGenerator[Turns]:
    """Count those of a task that always wants one, inside the block."""
    found = Turns()

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            found.taken += 1

    beside = asyncio.create_task(others())
    try:
        yield found
    finally:
        beside.cancel()
