"""Writing as the holder of a run: every write of its execution goes through here."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from shared.database.pool import Connection, transaction
from shared.database.queries import queries
from shared.domain import Claim
from shared.errors import LeaseLostError

_SQL = queries("runs")


@asynccontextmanager
async def holding(held: Claim) -> AsyncGenerator[Connection]:
    """A transaction in which nothing commits unless the claim still holds the run (``hold`` in ``runs.sql``).

    Raises:
        LeaseLostError: the lease has ended or another attempt holds the run.
    """
    async with transaction() as connection:
        if await connection.fetchval(_SQL["hold"], held.agent_run_id, held.attempt) is None:
            raise LeaseLostError
        yield connection
