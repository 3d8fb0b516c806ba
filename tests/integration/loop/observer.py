"""The test's own statements, also while an attempt asks for one: no fault and no death befalls them."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

import asyncpg


class Observer:
    """A pool whose statements belong to nobody.

    Whatever runs in an attempt's context dies with it, and so would the giving back of a connection: it would be lost,
    and whoever closes the pool would wait for it for ever.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        """All rows."""
        return await _apart(self._pool.fetch(query, *values))

    async def fetchrow(self, query: str, *values: object) -> asyncpg.Record | None:
        """One row."""
        return await _apart(self._pool.fetchrow(query, *values))

    async def fetchval(self, query: str, *values: object) -> Any:
        """One value."""
        return await _apart(self._pool.fetchval(query, *values))

    async def execute(self, query: str, *values: object) -> None:
        """Nothing but the effect."""
        await _apart(self._pool.execute(query, *values))


async def _apart[T](statement: Coroutine[Any, Any, T]) -> T:
    return await asyncio.shield(asyncio.create_task(statement, context=Context()))
