"""What grows without end, and which row of it nobody asks about any more."""

from shared.database.pool import connection
from shared.database.queries import queries

_SQL = queries("sweep")

KINDS = tuple(_SQL)
"""The tables' rows that the sweep removes, by the names of their statements."""


async def remove(kind: str, *, limit: int) -> int:
    """Remove some rows of one of ``KINDS``, the oldest first; returns how many."""
    async with connection() as taken:
        told = await taken.execute(_SQL[kind], limit)
    return int(told.split()[-1])
