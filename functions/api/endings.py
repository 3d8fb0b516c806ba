"""Waiting for a run's end, for as long as a request may last."""

import asyncio
import time
from uuid import UUID

from functions.api.limits.waits import Wait
from functions.api.wire_state import values
from shared.database import Connection, checkpoints, connection, runs
from shared.domain import TERMINAL, AgentRun, Json
from shared.errors import SunaError

# An HTTP request ends after 29 s.
LONGEST_WAIT_S = 25.0
_POLL_S = 0.2


class StillRunningError(SunaError):
    """The run has not ended within 25 s; it goes on: follow it with runs.stream, or runs.join_stream."""


async def final_values(
    wait: Wait, *, account_id: str, thread_id: UUID, agent_run_id: UUID, longest_s: float = LONGEST_WAIT_S
) -> Json:
    """The thread's values at the run's end; of one that failed ``{"__error__": {"error", "message"}}``.

    Raises:
        NotFoundError: the thread has no such run, or it is not yours.
        StillRunningError: it has not ended within ``longest_s``.
    """
    run = await _ended(wait, account_id=account_id, thread_id=thread_id, agent_run_id=agent_run_id, longest_s=longest_s)
    if run.status in {"failed", "timed_out"}:
        error = run.error or {}
        return {"__error__": {"error": error.get("code", run.status), "message": error.get("message", "")}}
    async with connection() as taken:
        return await values_at_end(taken, run)


async def values_at_end(connection: Connection, run: AgentRun) -> Json:
    """The thread's values when the run ended, with what it has asked for."""
    found = await checkpoints.until(
        connection, thread_id=run.thread_id, account_id=run.account_id, run_number=run.number
    )
    asked = await checkpoints.interrupts(connection, thread_ids=[run.thread_id], account_id=run.account_id)
    return values(found, [item for item in asked.get(run.thread_id, []) if item.agent_run_id == run.agent_run_id])


async def _ended(wait: Wait, *, account_id: str, thread_id: UUID, agent_run_id: UUID, longest_s: float) -> AgentRun:
    ends_at = time.monotonic() + longest_s
    while True:
        async with connection() as taken:
            run = await runs.get(taken, agent_run_id=agent_run_id, account_id=account_id, thread_id=thread_id)
        if run.status in TERMINAL:
            return run
        if time.monotonic() >= ends_at:
            raise StillRunningError(detail={"thread_id": str(thread_id), "run_id": str(agent_run_id)})
        await wait.hold(asyncio.sleep(_POLL_S))
