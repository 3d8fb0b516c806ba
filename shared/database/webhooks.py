"""Deliveries of runs' ends to webhooks: one a run, with what became of it."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.database.pool import Connection
from shared.database.queries import queries

_SQL = queries("webhooks")

Outcome = Literal["pending", "delivered", "gone", "given_up"]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt that has begun: where to, the how manieth, and how long ago the run ended."""

    url: str
    attempts: int
    age_s: float


async def insert(connection: Connection, *, agent_run_id: UUID, account_id: str, url: str) -> None:
    """Record that the run's end is to be delivered to ``url``, in the transaction that records the run."""
    await connection.execute(_SQL["insert"], agent_run_id, account_id, url)


async def due_in_s(connection: Connection, *, agent_run_id: UUID, account_id: str) -> float | None:
    """Seconds until the delivery's next attempt, negative where it is late.

    ``None``: the run has not ended, or there is nothing (more) to deliver.
    """
    return await connection.fetchval(_SQL["due_in"], agent_run_id, account_id)


async def begin(connection: Connection, *, agent_run_id: UUID, account_id: str, lasts_s: float) -> Attempt | None:
    """Begin an attempt that is due; ``None`` if none is. ``lasts_s`` later another one may begin."""
    row = await connection.fetchrow(_SQL["begin"], agent_run_id, account_id, lasts_s)
    return None if row is None else Attempt(**row)


async def end(
    connection: Connection,
    *,
    agent_run_id: UUID,
    account_id: str,
    attempts: int,
    outcome: Outcome,
    again_in_s: float = 0.0,
    problem: str | None = None,
) -> None:
    """End the attempt that was the ``attempts``-th; ``pending``: another one follows ``again_in_s`` later."""
    await connection.execute(_SQL["end"], agent_run_id, account_id, attempts, outcome, again_in_s, problem)
