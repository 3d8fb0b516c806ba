"""Writing as the holder of a run: every write of its execution goes through here."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from shared.database.pool import Connection, transaction
from shared.database.queries import queries
from shared.domain import Claim
from shared.errors import LeaseLostError

_SQL = queries("runs")


@asynccontextmanager
async def holding(held: Claim, *, and_thread: bool = False) -> AsyncGenerator[Connection]:
    """A transaction in which nothing commits unless the claim still holds the run (``hold`` in ``runs.sql``).

    ``and_thread``: it has the thread's row lock as well, so that nothing of the thread is hidden or deleted meanwhile.

    Raises:
        LeaseLostError: the lease has ended or another attempt holds the run.
    """
    async with transaction() as connection:
        if and_thread:
            await connection.fetchval(_SQL["lock_thread_of"], held.agent_run_id, held.account_id)
        if await connection.fetchval(_SQL["hold"], held.agent_run_id, held.attempt) is None:
            raise LeaseLostError
        yield connection


async def progressed(connection: Connection, held: Claim) -> None:
    """Count crashes anew, in a transaction that holds the run: it has got further than those that died of it."""
    if held.crashes:
        await connection.execute(_SQL["progressed"], held.agent_run_id, held.attempt)
