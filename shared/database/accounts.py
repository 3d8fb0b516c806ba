"""Deleting an account: a mark first, its row last, so that whoever comes between can go on.

The row leaves behind, under a hash of its id, what would otherwise be had anew by deleting: the day's usage until the
day is over, and an operator's plan. Triggers see to both ways (``0018_spending.sql``).
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from shared.database.pool import Connection, atomic
from shared.database.queries import queries

_SQL = queries("accounts")


async def mark(connection: Connection, *, account_id: str) -> None:
    """The account is to be deleted: from now on it records no runs, and its API keys are gone."""
    await connection.execute(_SQL["mark"], account_id)
    await connection.execute(_SQL["delete_api_keys"], account_id)


async def is_marked(connection: Connection, *, account_id: str) -> bool:
    """Whether the account is to be deleted, and is not yet."""
    return bool(await connection.fetchval(_SQL["is_marked"], account_id))


async def begin_round(connection: Connection, *, account_id: str, for_s: float) -> bool:
    """Take the account's deletion for so long; False if somebody else has it. One at a time is enough, and however
    often a deletion is asked for, others' wait for one only.
    """
    return await connection.fetchval(_SQL["begin_round"], account_id, for_s) is not None


async def end_round(connection: Connection, *, account_id: str) -> None:
    """Let somebody else go on with the deletion."""
    await connection.execute(_SQL["end_round"], account_id)


async def idle_threads(connection: Connection, *, account_id: str, limit: int) -> Sequence[UUID]:
    """Threads of the account without an unfinished run."""
    rows = await connection.fetch(_SQL["idle_threads"], account_id, limit)
    return [row["thread_id"] for row in rows]


async def delete_messages(connection: Connection, *, thread_id: UUID, account_id: str, limit: int) -> bool:
    """Delete up to ``limit`` messages of a thread; whether that were all."""
    done = await connection.execute(_SQL["delete_messages"], thread_id, account_id, limit)
    return int(done.rpartition(" ")[2]) < limit


async def delete(connection: Connection, *, account_id: str) -> bool:
    """Delete what an account has besides threads, and in the end its row; False if there are still threads.

    In the caller's transaction.
    """
    for what in ("api_keys", "assistants", "idempotency_keys", "waits", "reader_calls"):
        await connection.execute(_SQL[f"delete_{what}"], account_id)
    try:
        async with atomic(connection):
            await connection.execute(_SQL["delete"], account_id)
    except asyncpg.ForeignKeyViolationError:
        return False
    return True
