"""Who holds a thread's event log: the holder of its running run, or whoever takes it while nobody holds one."""

from uuid import UUID

from shared.database import Connection, connection, transaction
from shared.database.queries import queries
from shared.domain import LogHold
from shared.errors import LeaseLostError

_RUNS = queries("runs")
_THREADS = queries("threads")

# Event numbers reserved at once: more than most runs need, so that the reservation costs nothing beside the claim.
SEQ_BLOCK = 1000


async def reserve(hold: LogHold) -> int:
    """Reserve one more block of event numbers for the hold's epoch; returns the last number it may use.

    Raises:
        LeaseLostError: the thread has a newer epoch.
    """
    async with transaction() as taken:
        reserved = await taken.fetchval(_RUNS["reserve_seq"], hold.thread_id, hold.generation, hold.epoch, SEQ_BLOCK)
    if reserved is None:
        raise LeaseLostError
    return reserved


async def is_newest(hold: LogHold) -> bool:
    """Whether no newer epoch than the hold's has begun."""
    async with connection() as taken:
        return await taken.fetchval(_RUNS["is_newest_epoch"], hold.thread_id, hold.generation, hold.epoch) is not None


async def adopt(*, thread_id: UUID, account_id: str) -> LogHold | None:
    """Take the log of a thread of which nobody holds a run; ``None`` if somebody does."""
    async with transaction() as taken:
        await taken.fetchval(_THREADS["lock"], thread_id, account_id)
        return await adopt_locked(taken, thread_id=thread_id, account_id=account_id)


async def adopt_locked(connection: Connection, *, thread_id: UUID, account_id: str) -> LogHold | None:
    """The same, in a transaction that holds the thread's row lock."""
    row = await connection.fetchrow(_RUNS["adopt_log"], thread_id, account_id, SEQ_BLOCK)
    return None if row is None else LogHold(**row)


async def close(hold: LogHold, *, last_seq: int) -> None:
    """Give the log back with its exact last number, unless somebody has taken it over meanwhile."""
    async with connection() as taken:
        await close_with(taken, hold, last_seq=last_seq)


async def close_with(connection: Connection, hold: LogHold, *, last_seq: int) -> None:
    """The same, in the caller's transaction."""
    await connection.execute(_RUNS["close_log"], hold.thread_id, hold.generation, hold.epoch, last_seq)
