"""Ending a run that nobody holds: on a stop, by the workflow's Catch, by settle. There is one way, and this is it."""

from uuid import UUID

from shared.database import Connection, facts, threads
from shared.database.queries import queries
from shared.domain import AgentRun, Executor, Json, RunStatus
from shared.runs.ending import end
from shared.stream import log_hold

_SQL = queries("runs")


async def end_unheld(
    connection: Connection,
    *,
    agent_run_id: UUID,
    status: RunStatus,
    error: Json,
    executor: Executor | None = None,
    handover_no: int | None = None,
) -> AgentRun | None:
    """End the run, in a transaction that holds its thread's row lock; ``None`` if somebody holds it, or it has ended.

    Where nobody holds the thread's log its epoch rises, so that an executor that wakes up later is refused there too.

    Args:
        connection: of the transaction.
        agent_run_id: the run.
        status: how it ends, unless a stop was asked for.
        error: ``{"code", "message"}``.
        executor: only if it is this kind's to execute.
        handover_no: only if this is its last hand-over.
    """
    row = await connection.fetchrow(_SQL["unheld"], agent_run_id, executor, handover_no)
    if row is None:
        return None
    ended = await end(connection, row, status=status, error=error, superseding=True)
    run = ended.run
    hold = await log_hold.adopt_locked(connection, thread_id=run.thread_id, account_id=run.account_id)
    if hold is not None:
        # Nothing was appended under it: the facts get their numbers where the dead holder may have ended.
        last_seq = hold.last_seq + await facts.number(connection, thread_id=run.thread_id, last_seq=hold.last_seq)
        await threads.bound_end(
            connection, hold, agent_run_id=agent_run_id, before_end=last_seq - 1, hidden=ended.rolled_back
        )
        await log_hold.close_with(connection, hold, last_seq=last_seq)
    return run
