"""Events of runs that are no more, and still in the logs of their threads: noted when a run's row goes."""

from dataclasses import dataclass
from uuid import UUID

from shared.database.pool import Connection
from shared.database.queries import queries
from shared.database.threads import log_of
from shared.domain import ThreadLog

_SQL = queries("deleted_events")


@dataclass(frozen=True, kw_only=True)
class DeletedEvents:
    """What was a run's: among the numbers ``first_seq`` to ``last_seq`` of ``log``."""

    agent_run_id: UUID
    log: ThreadLog
    first_seq: int
    last_seq: int


async def get(connection: Connection, *, agent_run_id: UUID, account_id: str) -> DeletedEvents | None:
    """The entry; ``None``: there is none in the account (any more)."""
    row = await connection.fetchrow(_SQL["get"], agent_run_id, account_id)
    if row is None:
        return None
    return DeletedEvents(
        agent_run_id=row["agent_run_id"], log=log_of(row), first_seq=row["first_seq"], last_seq=row["last_seq"]
    )


@dataclass(frozen=True)
class Left:
    """Events that should be gone by now: of a run that was the account's."""

    agent_run_id: UUID
    account_id: str


async def old(connection: Connection, *, limit: int) -> list[Left]:
    """Of any account, the oldest first."""
    return [Left(**row) for row in await connection.fetch(_SQL["old"], limit)]


async def remove(connection: Connection, *, agent_run_id: UUID) -> None:
    """Nothing is left of them. Idempotent."""
    await connection.execute(_SQL["remove"], agent_run_id)
