"""Threads whose subscribers wait for one of the senders that serve their account: it has no more at a time.

``is_others``: the thread is another account's, a public one, and the account's subscribers to it wait.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from shared.database.pool import Connection
from shared.database.queries import queries

_SQL = queries("sender_calls")


@dataclass(frozen=True)
class Call:
    """A thread that waits, since its newest call."""

    thread_id: UUID
    called_at: datetime
    is_others: bool


async def add(connection: Connection, *, thread_id: UUID, account_id: str, is_others: bool = False) -> None:
    """The thread waits; nothing if there is no such thread in the account, or none that is public."""
    await connection.execute(_SQL["add_others" if is_others else "add"], thread_id, account_id)


async def next_of(connection: Connection, *, account_id: str) -> Call | None:
    """One that waits."""
    row = await connection.fetchrow(_SQL["next"], account_id, uuid4())
    return None if row is None else Call(row["thread_id"], row["called_at"], row["is_others"])


async def answered(connection: Connection, call: Call, *, account_id: str) -> None:
    """The thread was served since its call; if it has called again since, it waits still."""
    statement = _SQL["answered_others" if call.is_others else "answered"]
    await connection.execute(statement, call.thread_id, account_id, call.called_at)
