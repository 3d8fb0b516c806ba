"""The transitions that the holder of a run makes, each one guarded statement.

| from | to | by | guard |
|---|---|---|---|
| (none) | queued | API | the thread's row lock (``record``) |
| queued | running | claim | due, next on its thread, no stop requested, no other run of the thread running |
| running | running | claim | its lease ended or was released, the caller's kind is ``executor`` |
| running | running (workflow) | hand over | attempt, live lease |
| running | completed, failed, stopped, timed_out, needs_input | finish | attempt, live lease |

Terminal states are final: no statement here leaves one.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from shared.database import Connection, connection, transaction
from shared.database.queries import queries
from shared.domain import Claim, Executor, Json, RunStatus
from shared.errors import LeaseLostError

_SQL = queries("runs")

# Event numbers reserved at once: more than most runs need, so that the reservation costs nothing beside the claim.
SEQ_BLOCK = 1000


async def claim(
    *, agent_run_id: UUID, account_id: str, executor: Executor, lease_s: float, handover_no: int | None = None
) -> Claim | None:
    """Become the holder of a run; ``None`` if it is not the caller's to execute (now).

    Args:
        agent_run_id: the run.
        account_id: its account, as the queue's message says; a forged one matches nothing.
        executor: the caller's kind.
        lease_s: how long the lease lasts unless renewed.
        handover_no: the hand-over that the workflow was started for; another one is not its business.
    """
    try:
        async with transaction() as connection:
            if await connection.fetchval(_SQL["lock_thread_of"], agent_run_id, account_id) is None:
                return None
            row = await connection.fetchrow(_SQL["claim"], agent_run_id, executor, lease_s, handover_no, SEQ_BLOCK)
    except asyncpg.UniqueViolationError:
        return None  # another run of the thread is running
    if row is None:
        return None
    return _claim(row, lease_s=lease_s)


def _claim(row: asyncpg.Record, *, lease_s: float) -> Claim:
    return Claim(
        agent_run_id=row["agent_run_id"],
        thread_id=row["thread_id"],
        account_id=row["account_id"],
        number=row["number"],
        executor=row["executor"],
        attempt=row["attempt"],
        crashes=row["crashes"],
        handover_no=row["handover_no"],
        assistant_id=row["assistant_id"],
        model=row["model"],
        config=json.loads(row["config"]),
        epoch=row["epoch"],
        last_seq=row["last_seq"],
        reserved_seq=row["reserved_seq"],
        lease_s=lease_s,
        running_s=row["running_s"],
    )


@asynccontextmanager
async def holding(held: Claim) -> AsyncGenerator[Connection]:
    """A transaction in which nothing commits unless the claim still holds the run (``hold`` in ``runs.sql``).

    Raises:
        LeaseLostError: the lease has ended or another attempt holds the run.
    """
    async with transaction() as connection:
        if await connection.fetchval(_SQL["hold"], held.agent_run_id, held.attempt) is None:
            raise LeaseLostError
        yield connection


async def reserve_seq(held: Claim) -> int:
    """Reserve one more block of event numbers for the holder's epoch; returns the last number it may use.

    Raises:
        LeaseLostError: the thread has a newer epoch.
    """
    async with transaction() as connection:
        reserved = await connection.fetchval(_SQL["reserve_seq"], held.thread_id, held.epoch, SEQ_BLOCK)
    if reserved is None:
        raise LeaseLostError
    return reserved


async def finish(held: Claim, *, status: RunStatus, error: Json | None, last_seq: int) -> None:
    """End the run, and with it its use of the thread's event numbers up to ``last_seq``.

    Raises:
        LeaseLostError: the run is no longer the caller's to end.
    """
    async with transaction() as connection:
        await connection.fetchval(_SQL["lock_thread_of"], held.agent_run_id, held.account_id)
        ended = await connection.fetchval(
            _SQL["finish"],
            held.agent_run_id,
            held.attempt,
            status,
            None if error is None else json.dumps(error),
        )
        if ended is None:
            raise LeaseLostError
        await connection.execute(_SQL["close_log"], held.thread_id, held.epoch, last_seq)


async def hand_over(held: Claim, *, wake_by_s: float, last_seq: int) -> int:
    """Give the run to the workflow and release the lease; returns the number of the hand-over.

    If no workflow claims it within ``wake_by_s``, the watch takes it back.

    Raises:
        LeaseLostError: the run is no longer the caller's to give away.
    """
    async with transaction() as connection:
        await connection.fetchval(_SQL["lock_thread_of"], held.agent_run_id, held.account_id)
        handover_no = await connection.fetchval(_SQL["hand_over"], held.agent_run_id, held.attempt, wake_by_s)
        if handover_no is None:
            raise LeaseLostError
        await connection.execute(_SQL["close_log"], held.thread_id, held.epoch, last_seq)
    return handover_no


async def lease_held(*, agent_run_id: UUID, handover_no: int) -> bool:
    """Whether somebody is executing this very hand-over at the moment."""
    async with connection() as taken:
        return await taken.fetchval(_SQL["lease_held"], agent_run_id, handover_no) is not None


async def fail_unheld(*, agent_run_id: UUID, account_id: str, handover_no: int, error: Json) -> Claim | None:
    """End a run as failed that was handed over and that nobody holds.

    Returns the claim under which its terminal event is to be published (its number is reserved); ``None`` if the run
    is held, was taken back, or has ended: then it is not the caller's business.
    """
    async with transaction() as taken:
        if await taken.fetchval(_SQL["lock_thread_of"], agent_run_id, account_id) is None:
            return None
        row = await taken.fetchrow(_SQL["fail_unheld"], agent_run_id, handover_no, json.dumps(error))
    return None if row is None else _claim(row, lease_s=0.0)
