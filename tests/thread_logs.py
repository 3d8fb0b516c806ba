"""Event logs of threads, for tests: what PostgreSQL says of a thread, and logs of threads that have no row."""

from uuid import UUID

import asyncpg

from shared.database import connection
from shared.domain import LogHold, ThreadLog


def log_named(thread_id: UUID) -> ThreadLog:
    """A log of its own for a thread that is in no table, named after it."""
    return ThreadLog(thread_id=thread_id, generation=thread_id)


async def log_in_database(thread_id: UUID) -> ThreadLog:
    """The log of the thread as it is now, whosever it is."""
    async with connection() as taken:
        return ThreadLog(
            thread_id=thread_id,
            generation=await taken.fetchval("SELECT generation FROM threads WHERE thread_id = $1", thread_id),
        )


def hold_of(log: ThreadLog, *, account_id: str = "account", epoch: int = 1, last_seq: int = 0) -> LogHold:
    """The right to write it, whoever else has it."""
    return LogHold(
        thread_id=log.thread_id,
        generation=log.generation,
        account_id=account_id,
        epoch=epoch,
        last_seq=last_seq,
        reserved_seq=last_seq,
    )


async def events_key(database_url: str, thread_id: str) -> str:
    """Where Redis has the thread's events; of a thread that is not there (yet), a place where nothing is."""
    taken = await asyncpg.connect(database_url)
    try:
        generation = await taken.fetchval("SELECT generation FROM threads WHERE thread_id = $1", UUID(thread_id))
    finally:
        await taken.close()
    return f"{{{generation}}}:events"
