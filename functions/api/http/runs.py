"""Routes of runs."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from functions.api.http.identity import Caller
from functions.api.runs import start_run
from functions.api.wire import RunCreate, WireRun, WireRunStatus, run_statuses
from shared.database import connection, runs, threads

router = APIRouter(prefix="/threads/{thread_id}/runs", tags=["runs"])


@router.post("")
async def create_run(caller: Caller, thread_id: UUID, body: RunCreate, response: Response) -> WireRun:
    """Start a run in the background; its events go to the thread's subscribers."""
    run = await start_run(account_id=caller.account_id, thread_id=thread_id, body=body)
    response.headers["content-location"] = f"/threads/{thread_id}/runs/{run.agent_run_id}"
    return WireRun.of(run)


@router.get("")
async def list_runs(
    caller: Caller,
    thread_id: UUID,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    offset: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    status: WireRunStatus | None = None,
) -> list[WireRun]:
    """The thread's runs, newest first."""
    async with connection() as taken:
        await threads.get(taken, thread_id=thread_id, account_id=caller.account_id)
        page = await runs.page(
            taken,
            thread_id=thread_id,
            account_id=caller.account_id,
            statuses=None if status is None else run_statuses(status),
            limit=limit,
            offset=offset,
        )
    return [WireRun.of(run) for run in page]


@router.get("/{run_id}")
async def get_run(caller: Caller, thread_id: UUID, run_id: UUID) -> WireRun:
    """One run."""
    async with connection() as taken:
        return WireRun.of(await runs.get(taken, agent_run_id=run_id, account_id=caller.account_id, thread_id=thread_id))
