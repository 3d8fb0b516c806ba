"""The transitions that the holder of a run makes, each one guarded statement.

| from | to | by | guard |
|---|---|---|---|
| (none) | queued | API | the thread's row lock (``record``) |
| queued | running | claim | due, next on its thread, no stop requested, no other run of the thread running |
| running | running | claim | its lease ended or was released, the caller's kind is ``executor`` |
| running | running (workflow) | hand over | attempt, live lease |
| running | completed, failed, stopped, timed_out, needs_input | finish | attempt, live lease |
| queued, running | stopped, failed | end (``unheld``) | nobody holds it |

Terminal states are final: no statement here leaves one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from shared import events
from shared.database import connection, facts, threads, transaction
from shared.database.facts import Fact
from shared.database.queries import queries
from shared.domain import Claim, Executor, Json, RunStatus
from shared.errors import LeaseLostError
from shared.events import Event
from shared.runs.ending import end
from shared.stream import log_hold
from shared.stream.log_hold import SEQ_BLOCK

_SQL = queries("runs")


async def claim(
    *,
    agent_run_id: UUID,
    account_id: str,
    executor: Executor,
    lease_s: float,
    handover_no: int | None = None,
    instance_id: UUID | None = None,
) -> Claim | None:
    """Become the holder of a run; ``None`` if it is not the caller's to execute (now).

    Args:
        agent_run_id: the run.
        account_id: its account, as the queue's message says; a forged one matches nothing.
        executor: the caller's kind.
        lease_s: how long the lease lasts unless renewed.
        handover_no: the hand-over that the workflow was started for; another one is not its business.
        instance_id: who will hold it (``shared.runs.instances``): one that is drained is refused.
    """
    try:
        async with transaction() as connection:
            if await connection.fetchval(_SQL["lock_thread_of"], agent_run_id, account_id) is None:
                return None
            row = await connection.fetchrow(
                _SQL["claim"], agent_run_id, executor, lease_s, handover_no, SEQ_BLOCK, instance_id
            )
            if row is not None and row["taken_over"]:
                fact = events.custom(agent_run_id, "run_taken_over", {"attempt": row["attempt"]})
                await facts.add(connection, thread_id=row["thread_id"], facts=[fact])
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
        generation=row["generation"],
        epoch=row["epoch"],
        last_seq=row["last_seq"],
        reserved_seq=row["reserved_seq"],
        replay_s=row["replay_s"],
        lease_s=lease_s,
        running_s=row["running_s"],
        stop_requested=row["stop_requested"],
    )


@dataclass(frozen=True)
class Finished:
    """How a run has ended.

    ``told``: the facts that the thread's log still needs, numbered; the run's end is the last of them.
    """

    status: RunStatus
    error: Json | None
    told: list[Fact]


async def finish(
    held: Claim, *, status: RunStatus, error: Json | None, last_seq: int, before: Sequence[Event] = ()
) -> Finished:
    """End the run, and with it its use of the thread's event numbers; as it was wished, if a stop was asked for.

    Args:
        held: the caller's claim.
        status: how the run ends.
        error: ``{"code", "message"}``; with the code ``rollback`` the run's messages are hidden.
        last_seq: the last number used.
        before: what subscribers are told before the end.

    Raises:
        LeaseLostError: the run is no longer the caller's to end.
    """
    async with transaction() as taken:
        await taken.fetchval(_SQL["lock_thread_of"], held.agent_run_id, held.account_id)
        row = await taken.fetchrow(_SQL["held"], held.agent_run_id, held.attempt)
        if row is None:
            raise LeaseLostError
        ended = await end(taken, row, status=status, error=error, superseding=False, before=before)
        last_seq += await facts.number(taken, thread_id=held.thread_id, last_seq=last_seq)
        await threads.bound_end(
            taken, held, agent_run_id=held.agent_run_id, before_end=last_seq - 1, hidden=ended.rolled_back
        )
        await log_hold.close_with(taken, held, last_seq=last_seq)
        told = await facts.unlogged(taken, log=held)
    return Finished(ended.run.status, ended.run.error, told)


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
        await log_hold.close_with(connection, held, last_seq=last_seq)
    return handover_no


async def lease_held(*, agent_run_id: UUID, handover_no: int) -> bool:
    """Whether somebody is executing this very hand-over at the moment."""
    async with connection() as taken:
        return await taken.fetchval(_SQL["lease_held"], agent_run_id, handover_no) is not None
