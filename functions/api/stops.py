"""Stopping and deleting runs: one service under every interface that can ask for it."""

import asyncio
import json
import time
from typing import Literal
from uuid import UUID

from functions.api.limits.waits import Wait
from functions.api.wire import run_statuses
from shared.database import connection, runs
from shared.database.pages import LARGEST_PAGE_BYTES
from shared.domain import TERMINAL, AgentRun, StopKind

CancelAction = Literal["interrupt", "rollback"]
"""What a client calls it: to stop and keep what there is, or to stop and hide the run's messages."""

_KINDS: dict[CancelAction, StopKind] = {"interrupt": "stop", "rollback": "rollback"}

# An HTTP request ends after 29 s.
LONGEST_WAIT_S = 20.0
_POLL_S = 0.2
_MOST_RUNS = 100


async def cancel(
    *, account_id: str, thread_id: UUID, agent_run_id: UUID, action: CancelAction, wait: Wait | None = None
) -> AgentRun:
    """Stop a run; returns it as it is then, with ``wait`` once it has ended (or after 20 s).

    Stopping a run that has ended changes nothing.

    Raises:
        NotFoundError: the thread has no such run, or it is not yours.
    """
    # Deferred: the event log's client costs a cold start 150 ms, and few requests stop a run.
    from shared.runs.stopping import request_stop  # noqa: PLC0415

    run = await request_stop(agent_run_id=agent_run_id, account_id=account_id, thread_id=thread_id, kind=_KINDS[action])
    ends_at = time.monotonic() + LONGEST_WAIT_S
    while wait is not None and run.status not in TERMINAL and time.monotonic() < ends_at:
        await wait.hold(asyncio.sleep(_POLL_S))
        async with connection() as taken:
            run = await runs.get(taken, agent_run_id=agent_run_id, account_id=account_id)
    return run


async def cancel_many(
    *,
    account_id: str,
    thread_id: UUID | None,
    agent_run_ids: list[UUID] | None,
    status: Literal["pending", "running", "all"],
    action: CancelAction,
) -> list[AgentRun]:
    """Stop the account's unfinished runs: of a thread, of these ids, of a status.

    Returns:
        They as they are then, the oldest first, as many as an answer holds.
    """
    statuses = ["queued", "running"] if status == "all" else list(run_statuses(status))
    async with connection() as taken:
        wanted = await runs.unfinished(
            taken,
            account_id=account_id,
            thread_id=thread_id,
            agent_run_ids=agent_run_ids,
            statuses=statuses,
            limit=_MOST_RUNS,
        )
    stopped: list[AgentRun] = []
    size = 0
    for run in wanted:
        one = await cancel(account_id=account_id, thread_id=run.thread_id, agent_run_id=run.agent_run_id, action=action)
        size += len(json.dumps([one.metadata, one.error]))
        if size <= LARGEST_PAGE_BYTES or not stopped:
            stopped.append(one)
    return stopped
