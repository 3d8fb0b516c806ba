"""Event logs of threads that are no more, and still in Redis: a trigger notes them when the thread's row goes."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from shared.database.pool import Connection
from shared.database.queries import queries

_SQL = queries("deleted_logs")


@dataclass(frozen=True, kw_only=True)
class DeletedLog:
    """What was a thread's: its id may be another thread's by now, its ``generation`` never is."""

    generation: UUID
    thread_id: UUID
    account_id: str
    deleted_at: datetime


async def get(connection: Connection, *, generation: UUID) -> DeletedLog | None:
    """The entry; ``None``: there is none (any more)."""
    row = await connection.fetchrow(_SQL["get"], generation)
    return None if row is None else _entry(row)


async def of_account(connection: Connection, *, account_id: str, limit: int) -> list[DeletedLog]:
    """The entries of threads that were the account's."""
    return [_entry(row) for row in await connection.fetch(_SQL["of_account"], account_id, limit)]


async def old(connection: Connection, *, limit: int) -> list[DeletedLog]:
    """Entries that should be gone by now, of any account, the oldest first."""
    return [_entry(row) for row in await connection.fetch(_SQL["old"], limit)]


async def remove(connection: Connection, *, generation: UUID) -> None:
    """Nothing is left of it. Idempotent."""
    await connection.execute(_SQL["remove"], generation)


def _entry(row: asyncpg.Record) -> DeletedLog:
    return DeletedLog(**row)
