"""How far a run's end has come."""

import json
from dataclasses import dataclass
from uuid import UUID

from shared.database.pool import Connection
from shared.database.queries import queries
from shared.domain import TERMINAL, Json, RunStatus
from shared.errors import NotFoundError

_SQL = queries("run_ends")


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """``settled``: what there is to tell of the run is in the log, or was; ``ended_seq``: the number of its end there,
    ``None`` if it has none or that was more than a day ago.
    """

    status: RunStatus
    error: Json | None
    settled: bool
    ended_seq: int | None

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.status in TERMINAL


async def get(connection: Connection, *, agent_run_id: UUID, account_id: str) -> RunEnd:
    """The run's end.

    Raises:
        NotFoundError: there is no such run in the account.
    """
    row = await connection.fetchrow(_SQL["get"], agent_run_id, account_id)
    if row is None:
        raise NotFoundError(f"run {str(agent_run_id)!r} not found")
    error = None if row["error"] is None else json.loads(row["error"])
    return RunEnd(status=row["status"], error=error, settled=row["settled"], ended_seq=row["ended_seq"])
