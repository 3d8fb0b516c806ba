"""Runs in PostgreSQL, as they are recorded and read. Their transitions are in ``shared.runs``."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from shared.database.pages import LARGEST_PAGE_BYTES
from shared.database.pool import Connection
from shared.database.queries import queries
from shared.domain import AgentRun, Json, MultitaskStrategy, RunStatus
from shared.errors import ConflictError, NotFoundError
from shared.storable import jsonb

_SQL = queries("runs")


def agent_run(row: asyncpg.Record) -> AgentRun:
    """The run of a row of ``agent_runs``."""
    return AgentRun(
        agent_run_id=row["agent_run_id"],
        thread_id=row["thread_id"],
        account_id=row["account_id"],
        number=row["number"],
        status=row["status"],
        assistant_id=row["assistant_id"],
        model=row["model"],
        metadata=json.loads(row["metadata"]),
        multitask_strategy=row["multitask_strategy"],
        error=_json(row["error"]),
        usage=_json(row["usage"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )


def _json(text: str | None) -> Json | None:
    return None if text is None else json.loads(text)


@dataclass(frozen=True)
class Newest:
    """A thread's newest run. ``thread_number``: the last number that the thread has given out."""

    thread_number: int
    status: RunStatus
    assistant_id: str
    config: Json


async def newest(connection: Connection, *, thread_id: UUID, account_id: str) -> Newest | None:
    """The thread's newest run, if it has one."""
    row = await connection.fetchrow(_SQL["newest"], thread_id, account_id)
    if row is None:
        return None
    return Newest(row["last_run_number"], row["status"], row["assistant_id"], json.loads(row["config"]))


async def insert(
    connection: Connection,
    *,
    agent_run_id: UUID,
    thread_id: UUID,
    account_id: str,
    number: int,
    assistant_id: str,
    model: str | None,
    config: Json,
    metadata: Json,
    multitask_strategy: MultitaskStrategy,
    after_s: float,
) -> AgentRun:
    """Record a queued run as the thread's newest. The caller holds the thread's row lock and took ``number`` under it.

    The thread's metadata gets ``graph_id`` and ``assistant_id``.

    ``after_s``: seconds before which the run must not start.
    """
    row = await connection.fetchrow(
        _SQL["insert"],
        agent_run_id,
        thread_id,
        account_id,
        number,
        assistant_id,
        model,
        jsonb(config),
        jsonb(metadata),
        multitask_strategy,
        after_s,
    )
    assert row is not None, "INSERT ... RETURNING without ON CONFLICT returns its row"  # noqa: S101
    await connection.execute(_SQL["number_thread"], thread_id, number, assistant_id)
    return agent_run(row)


@dataclass(frozen=True)
class Unfinished:
    """A run that has not ended, by its ids: what it holds may be large."""

    agent_run_id: UUID
    thread_id: UUID


async def unfinished(
    connection: Connection,
    *,
    account_id: str,
    thread_id: UUID | None,
    agent_run_ids: Sequence[UUID] | None,
    statuses: Sequence[str],
    limit: int,
) -> list[Unfinished]:
    """The account's unfinished runs, oldest first: of a thread, of these ids, of these statuses."""
    ids = None if agent_run_ids is None else list(agent_run_ids)
    rows = await connection.fetch(_SQL["unfinished_of_account"], account_id, thread_id, ids, list(statuses), limit)
    return [Unfinished(row["agent_run_id"], row["thread_id"]) for row in rows]


@dataclass(frozen=True)
class Numbers:
    """Numbers of a thread's events, from the first to the last."""

    first: int
    last: int


async def delete(connection: Connection, *, agent_run_id: UUID, account_id: str, thread_id: UUID) -> Numbers | None:
    """Delete a run that has ended, with its messages, in the caller's transaction.

    Returns the numbers that its events are among, which are still to go; ``None`` if it never began.

    Raises:
        NotFoundError: there is none of that id in the account and thread.
        ConflictError: it has not ended.
    """
    await connection.fetchval(_SQL["lock_thread_of"], agent_run_id, account_id)
    row = await connection.fetchrow(_SQL["delete"], agent_run_id, thread_id, account_id)
    if row is None:
        run = await get(connection, agent_run_id=agent_run_id, account_id=account_id, thread_id=thread_id)
        raise ConflictError(f"run {str(agent_run_id)!r} is {run.status}: cancel it first")
    return None if row["first_seq"] is None else Numbers(row["first_seq"], row["last_seq"])


async def get(
    connection: Connection, *, agent_run_id: UUID, account_id: str, thread_id: UUID | None = None
) -> AgentRun:
    """The run, of ``thread_id`` if that is given.

    Raises:
        NotFoundError: there is none of that id in the account (and thread).
    """
    row = await connection.fetchrow(_SQL["get"], agent_run_id, account_id, thread_id)
    if row is None:
        raise NotFoundError(f"run {str(agent_run_id)!r} not found")
    return agent_run(row)


async def page(
    connection: Connection,
    *,
    thread_id: UUID,
    account_id: str,
    statuses: Sequence[RunStatus] | None,
    limit: int,
    offset: int,
) -> list[AgentRun]:
    """A page of the thread's runs, newest first; it ends early where it would become too large for an answer."""
    rows = await connection.fetch(_SQL["list"], thread_id, account_id, statuses, limit, offset, LARGEST_PAGE_BYTES)
    return [agent_run(row) for row in rows]
